"""Layers as a directed acyclic graph: several inputs and outputs, skip connections, shared layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers import Model, buildable, child
from jaxdict.models._parts import Composite, Node, Wiring, abstract_init, as_model, renamed, taken

__all__ = ["graph"]

SHAPE = "the input shape"


@entry(
    "model",
    equation="g(f(x)) + x",
    aliases=("functional api", "directed acyclic graph", "wide and deep", "multiple inputs", "multiple outputs",
             "auxiliary output", "shared layer", "siamese network"),
    sources=("S2 10.2.2", "Cheng et al. 2016, arXiv:1606.07792", "Szegedy et al. 2015, arXiv:1409.4842 section 5"),
    conventions={
        "torch": "written as a Module's forward, without a constructor",
        "keras": "Model(inputs, outputs) of tensors that layers were called on; a layer called twice is shared",
    },
    see_also=("serial", "residual"),
)  # fmt: skip
@buildable
def graph(
    *,
    inputs: str | Sequence[str],
    nodes: Mapping[str, tuple[Any, str | Sequence[str]]],
    outputs: str | Sequence[str] | Mapping[str, str],
    name: str | None = None,
) -> Model:
    """Layers as a directed acyclic graph: several inputs and outputs, skip connections, shared layers.

    Parameters and state are dicts by node, and keys are derived from the nodes' names, as in ``serial``.

    Args:
      inputs: a name, where the inputs are the array itself; or names, where they are a dict by name, or a tuple in
        that order, as from several sources where the graph is itself a node.
      nodes: ``{name: (layer, source)}`` or ``{name: (layer, sources)}`` in any order; sources are names of inputs or
        nodes. A layer of several sources takes a tuple: ``layers.concatenate()``, ``layers.add()``. Where the name of
        another node stands for the layer, its layer is used again, with the same parameters and state.
      outputs: the name of a node, whose value is the output; or names, or names by the outputs' own names: a dict.
      name: the name of the whole where it is itself a part.

    Returns:
      A model; its ``init`` takes the shape of the input, or a dict of shapes by name.

    Raises:
      ValueError: names that are unknown (with the closest), doubled or not used, a cycle; shapes that do not fit, with
        the node's name. TypeError: a node that is no pair, a layer that is no model.
    """
    wiring = wire(inputs, nodes, outputs)

    def init(key, input_shape):
        shapes = wiring.by_name(_given(wiring, input_shape, SHAPE))
        params, state, own = {}, {}, {}
        for node in wiring.nodes:
            shape = taken(node, shapes)
            try:
                if node.owner == node.name:
                    made, kept, shapes[node.name] = node.layer.init(child(key, node.name), shape)
                    if jax.tree.leaves(made):
                        params[node.name] = made
                    if jax.tree.leaves(kept):
                        state[node.name] = kept
                else:
                    made, kept, shapes[node.name] = abstract_init(node.layer, shape)
                own[node.name] = shape, (made, kept)
            except (TypeError, ValueError) as error:
                raise renamed(error, _place(node, shapes)) from error
        for node in wiring.nodes:
            _same_shapes(node, own)
        return params, state, wiring.picked(shapes)

    def apply(params, state, inputs, *, key=None, train=False):
        values, new = wiring.by_name(_given(wiring, inputs, "the inputs")), {}
        for node in wiring.nodes:
            drawn = None if key is None else child(key, node.name)
            held = new.get(node.owner, state.get(node.owner, {}))  # after an earlier use, what that left
            try:
                values[node.name], kept = node.layer.apply(
                    params.get(node.owner, {}), held, taken(node, values), key=drawn, train=train
                )
            except (TypeError, ValueError) as error:
                shapes = {source: jax.tree.map(lambda x: x.shape[1:], values[source]) for source in node.sources}
                raise renamed(error, _place(node, shapes)) from error
            if jax.tree.leaves(kept):
                new[node.owner] = kept
        return wiring.picked(values), new

    return Composite(
        init, apply, name=name or "graph", named=name is not None,
        parts=tuple((node.name, node.layer) for node in wiring.nodes if node.owner == node.name),
        mixes_examples=any(node.layer.mixes_examples for node in wiring.nodes), wiring=lambda shape: wiring,
    )  # fmt: skip


def _given(wiring: Wiring, inputs: Any, what: str) -> Any:
    """``inputs``, or their shapes, when they are one, or those of all names, as the graph takes them."""
    names = wiring.inputs
    if isinstance(names, str):
        if isinstance(inputs, Mapping):
            raise ValueError(f"{what} of a graph with one input, {names!r}, must be no dict; got {list(inputs)}")
        return tuple(inputs) if isinstance(inputs, list) else inputs
    if isinstance(inputs, (tuple, list)) and len(inputs) == len(names) and not any(isinstance(x, int) for x in inputs):
        return inputs
    if not isinstance(inputs, Mapping):
        rule = f"must be a dict with {_listed(names)}, or a tuple in that order"
        hint = f"; of inputs={names[0]!r}, no list, it is the input's own" if len(names) == 1 else ""
        raise ValueError(f"{what} of a graph {rule}; got {inputs if what == SHAPE else type(inputs).__name__}{hint}")
    for name in inputs:
        if name not in names:
            raise ValueError(f"{what} of a graph cannot hold {name!r}; {_check.did_you_mean(str(name), names)}")
    if missing := [name for name in names if name not in inputs]:
        raise ValueError(f"{what} of a graph must hold {_listed(names)}; {_listed(missing)} missing")
    return inputs


def _place(node: Node, shapes: Mapping[str, Any]) -> str:
    """Where an error is: the node, its layer, and the shapes of its sources."""
    given = " and ".join(f"{source!r} {shapes[source]}" for source in node.sources)
    hint = " (several sources are joined by concatenate or add)" if len(node.sources) > 1 else ""
    return f"node {node.name!r}, {node.layer.name} of {given}{hint}"


def _same_shapes(node: Node, own: Mapping[str, tuple[Any, Any]]) -> None:
    """A node that shares parameters and state needs them in the shapes in which the other made them."""

    def shapes(tree):
        return jax.tree.structure(tree), [leaf.shape for leaf in jax.tree.leaves(tree)]

    (shape, here), (other, there) = own[node.name], own[node.owner]
    if shapes(here) != shapes(there):
        raise ValueError(
            f"node {node.name!r} shares parameters and state of {node.owner!r}, which takes {other}: for {shape} they "
            f"would have other shapes"
        )


# ------------------------------------------------------------------------------------------------------- wiring


def wire(inputs: Any, nodes: Any, outputs: Any) -> Wiring:
    """The wiring that the arguments of ``graph`` describe, checked, its nodes in order."""
    names = _names("inputs", inputs)
    if not isinstance(nodes, Mapping) or not nodes:
        raise TypeError(f"nodes must be a dict {{name: (layer, sources)}} with at least one; got {nodes!r}")
    for name, value in nodes.items():
        if not isinstance(name, str) or not name:
            raise TypeError(f"nodes must be called by strings; got {name!r}")
        if not isinstance(value, (tuple, list)) or len(value) != 2 or callable(value[1]):
            raise TypeError(f"node {name!r} must be (layer, source) or (layer, sources); got {value!r}")
    made = {name: _node(name, value[0], value[1], nodes) for name, value in nodes.items()}
    for name in names:
        if name in made:
            raise ValueError(f"an input and a node are both called {name!r}; give one another name")
    known = [*names, *made]
    for node in made.values():
        for source in node.sources:
            if source not in known:
                raise ValueError(f"node {node.name!r} takes {source!r}; {_check.did_you_mean(source, known)}")
    order = _ordered(names, made)
    picked = outputs if isinstance(outputs, str) else _outputs(outputs)
    wanted = [picked] if isinstance(picked, str) else list(picked.values())
    for name in wanted:
        if name not in known:
            raise ValueError(f"there is no node {name!r} to be an output; {_check.did_you_mean(str(name), known)}")
    used, waiting = set(), list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += made[name].sources if name in made else ()
    for name in known:
        if name not in used:
            what = "input" if name in names else "node"
            raise ValueError(f"the {what} {name!r} is not used: no output depends on it")
    return Wiring(inputs if isinstance(inputs, str) else names, order, picked)


def _names(what: str, given: Any) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Sequence) else ()
    if not found or not all(isinstance(name, str) and name for name in found):
        raise TypeError(f"{what} must be a name or names; got {given!r}")
    for name in found:
        if found.count(name) > 1:
            raise ValueError(f"{what} name {name!r} twice")
    return found


def _outputs(outputs: Any) -> dict[str, str]:
    if isinstance(outputs, Mapping):
        if not outputs or not all(isinstance(n, str) for pair in outputs.items() for n in pair):
            raise TypeError(f"outputs must be names of nodes by the outputs' names; got {outputs!r}")
        return dict(outputs)
    return {name: name for name in _names("outputs", outputs)}


def _node(name: str, layer: Any, sources: Any, nodes: Mapping[str, Any]) -> Node:
    sources = (sources,) if isinstance(sources, str) else tuple(sources) if isinstance(sources, Sequence) else ()
    if not sources or not all(isinstance(source, str) for source in sources):
        raise TypeError(f"the sources of node {name!r} must be a name or names; got {nodes[name][1]!r}")
    owner, seen = name, [name]
    while isinstance(layer := nodes[owner][0], str):
        if layer not in nodes:
            raise ValueError(
                f"node {owner!r} shares the layer of {layer!r}, which is no node; {_check.did_you_mean(layer, nodes)}"
            )
        if layer in seen:
            raise ValueError(f"nodes share their layers in a circle: {' → '.join([*seen, layer])}")
        seen.append(layer)
        owner = layer
    try:
        return Node(name, as_model(layer), sources, owner)
    except TypeError as error:
        raise TypeError(f"node {name!r}: {error}") from None


def _ordered(inputs: Sequence[str], nodes: Mapping[str, Node]) -> tuple[Node, ...]:
    """Each node after its sources, else as they were given; a ValueError with the cycle where that cannot be."""
    done, order, left = set(inputs), [], dict(nodes)
    while left:
        ready = next((node for node in left.values() if done.issuperset(node.sources)), None)
        if ready is None:
            raise ValueError(f"the nodes go in a circle: {' → '.join(_cycle(left))}")
        done.add(ready.name)
        order.append(left.pop(ready.name))
    return tuple(order)


def _cycle(left: Mapping[str, Node]) -> list[str]:
    """Names from one to itself, among nodes that all wait for another of them."""
    path = [next(iter(left))]
    while path[-1] not in path[:-1]:
        path.append(next(source for source in left[path[-1]].sources if source in left))
    return path[path.index(path[-1]) :][::-1]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
