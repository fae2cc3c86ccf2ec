"""A model taken apart at an input shape: what each part takes and gives. Nothing is computed or allocated."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdict.layers import Model
from jaxdict.models._parts import Node, abstract_init, as_model, taken, wiring_of

Path = tuple[str, ...]


class Step(NamedTuple):
    """One use of a part.

    Attributes:
      path: its name within those that it is a part of; empty for the whole.
      layer: the part.
      sources: names of what it takes, beside it.
      owner: the name of the part whose parameters it uses, its own for most.
      inputs, outputs: a batch of one example as ``jax.ShapeDtypeStruct``.
      params, state: likewise, its own or the owner's.
      inner: the steps that it is composed of, in order.
      takes, gives: what its own inputs are called among them, and what its outputs are, as in a Wiring.
    """

    path: Path
    layer: Model
    sources: tuple[str, ...]
    owner: str
    inputs: Any
    outputs: Any
    params: Any
    state: Any
    inner: tuple["Step", ...] = ()
    takes: tuple[str, ...] = ()
    gives: str | Mapping[str, str] = ""

    @property
    def own(self) -> bool:
        """Whether it uses parameters of its own."""
        return not self.path or self.owner == self.path[-1]


def walk(model: Any, input_shape: Any, input_dtype: Any) -> Step:
    """``model`` as a step, with all its parts in it.

    Args:
      model: any model; a foreign one has no parts.
      input_shape: of one example, or a tree of such shapes. input_dtype: of all inputs.

    Raises:
      ValueError: an input shape that the model does not take.
    """
    layer = as_model(model)
    inputs = jax.tree.map(lambda shape: jax.ShapeDtypeStruct((1, *shape), input_dtype), input_shape, is_leaf=_is_shape)
    return _visit((), Node(layer.name, layer, (), layer.name), inputs)


def _visit(path: Path, node: Node, inputs: Any) -> Step:
    layer = node.layer
    shape = shape_of(inputs)
    params, state, _ = abstract_init(layer, shape)
    wiring = wiring_of(layer, shape)
    inner: list[Step] = []
    if wiring is None:
        outputs = jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], params, state, inputs)
        return Step(path, layer, node.sources, node.owner, inputs, outputs, params, state)
    values = wiring.by_name(inputs)
    for part in wiring.nodes:
        step = _visit((*path, part.name), part, taken(part, values))
        values[part.name] = step.outputs
        inner.append(step)
    return Step(
        path, layer, node.sources, node.owner, inputs, wiring.picked(values), params, state, tuple(inner),
        wiring.inputs, wiring.outputs,
    )  # fmt: skip


def shape_of(outputs: Any) -> Any:
    """The shape of one example, or the tree of shapes."""
    return jax.tree.map(lambda x: tuple(x.shape[1:]), outputs)


def kind_of(step: Step) -> str:
    """What a part is: the constructor that made it, or the name of a foreign one."""
    return step.layer.spec.constructor if step.layer.spec is not None else step.layer.name


def count(tree: Any) -> int:
    """How many numbers there are."""
    return sum(int(np.prod(leaf.shape, dtype=np.int64)) for leaf in jax.tree.leaves(tree))


def size(tree: Any) -> int:
    """How many bytes they take."""
    return sum(int(np.prod(x.shape, dtype=np.int64)) * np.dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def _is_shape(tree: Any) -> bool:
    return isinstance(tree, (tuple, list)) and all(isinstance(length, (int, np.integer)) for length in tree)
