"""What compositions share: anything that is a model, names of parts, and who takes what from whom."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from jaxdict.layers import Model

INPUT = "input"  # what a chain calls what it is given


def as_model(model: Any) -> Model:
    """``model`` as a Model: one already, or any ``(init, apply)`` pair; TypeError for anything else."""
    if isinstance(model, Model):
        return model
    if isinstance(model, tuple) and len(model) == 2 and all(callable(part) for part in model):
        return Model(*model)
    hint = "; a Flax module becomes one by jaxdict.models.from_flax(module)" if hasattr(model, "apply") else ""
    raise TypeError(f"a model must be a jaxdict Model or an (init, apply) pair; got {type(model).__name__}{hint}")


def name_parts(parts: Sequence[Model]) -> tuple[tuple[str, Model], ...]:
    """Parts by name: the one they were given, or their kind's with a number."""
    named: dict[str, Model] = {}
    counts: dict[str, int] = {}
    for layer in parts:
        label = layer.name
        if not layer.named:
            counts[label] = counts.get(label, 0) + 1
            label = f"{label}_{counts[label]}"
        if label in named:
            raise ValueError(f"two layers are called {label!r}; give one another name")
        named[label] = layer
    return tuple(named.items())


def renamed(error: Exception, where: str) -> Exception:
    """A plain TypeError or ValueError that says where it was raised; errors of other classes as they are."""
    return type(error)(f"{where}: {error}") if type(error) in (TypeError, ValueError) else error


# ------------------------------------------------------------------------------------------------------- wiring


class Node(NamedTuple):
    """One use of a layer in a composition.

    Attributes:
      name: of the node.
      layer: what it computes.
      sources: names of inputs or of earlier nodes; of several, the layer takes a tuple.
      owner: the node whose parameters and state it uses: itself, unless it shares another's.
    """

    name: str
    layer: Model
    sources: tuple[str, ...]
    owner: str


class Wiring(NamedTuple):
    """Nodes in an order in which each comes after its sources.

    Attributes:
      inputs: the name of the array that is given; or names of several, given as a dict by name or in that order.
      nodes: at least one.
      outputs: the name whose value is the output, or a dict of such names by the output's.
    """

    inputs: str | tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: str | Mapping[str, str]

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Inputs, or their shapes, by name."""
        if isinstance(self.inputs, str):
            return {self.inputs: inputs}
        if isinstance(inputs, Mapping):
            return {name: inputs[name] for name in self.inputs}
        return dict(zip(self.inputs, inputs, strict=True))

    def picked(self, values: Mapping[str, Any]) -> Any:
        """The outputs among the values of all nodes."""
        if isinstance(self.outputs, str):
            return values[self.outputs]
        return {name: values[node] for name, node in self.outputs.items()}


def taken(node: Node, values: Mapping[str, Any]) -> Any:
    """What a node takes: the value of its source, or a tuple of several."""
    found = tuple(values[source] for source in node.sources)
    return found[0] if len(found) == 1 else found


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Composite(Model):
    """A model whose parts are no chain.

    Attributes:
      wiring: ``input_shape -> Wiring``.
    """

    wiring: Callable[[Any], Wiring] | None = None


def wiring_of(model: Model, input_shape: Any) -> Wiring | None:
    """How ``model`` is composed where it takes ``input_shape``; None where it is a layer, or foreign."""
    if isinstance(model, Composite) and model.wiring is not None:
        return model.wiring(input_shape)
    return chain(model.parts) if model.parts else None


def chain(parts: Sequence[tuple[str, Model]]) -> Wiring:
    """Parts one after another."""
    before = [INPUT, *(name for name, _ in parts)]
    nodes = tuple(Node(name, layer, (before[i],), name) for i, (name, layer) in enumerate(parts))
    return Wiring(INPUT, nodes, before[-1])


def abstract_init(layer: Model, shape: Any) -> tuple[Any, Any, Any]:
    """``layer.init`` with shapes and types in place of arrays: nothing is computed or allocated."""
    found = {}

    def shapes(key):
        params, state, found["shape"] = layer.init(key, shape)
        return params, state

    params, state = jax.eval_shape(shapes, jax.random.key(0))
    return params, state, found["shape"]
