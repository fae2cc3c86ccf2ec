"""A model taken apart at an input shape: what each part takes and gives. Nothing is computed or allocated."""

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdict.layers import Model
from jaxdict.models._parts import Node, Wiring, abstract_init, as_model, taken, wiring_of

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
      wiring: how they are composed; None where there are none.
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
    wiring: Wiring | None = None

    @property
    def own(self) -> bool:
        """Whether it uses parameters of its own."""
        return not self.path or self.owner == self.path[-1]


def walk(model: Any, input_shape: Any, input_dtype: Any) -> Step:
    """``model`` as a step, with all its parts in it.

    Args:
      model: any model; a foreign one has no parts.
      input_shape: of one example, or a tree of such shapes.
      input_dtype: of all inputs, or such a tree.

    Raises:
      ValueError: an input shape that the model does not take, or another tree of types.
      TypeError: an input shape that is none.
    """
    layer = as_model(model)
    shapes, tree = jax.tree.flatten(input_shape, is_leaf=_is_shape)
    if wrong := [shape for shape in shapes if not _is_shape(shape)]:
        raise TypeError(f"an input shape must be a tuple of whole numbers, without the batch axis; got {wrong[0]!r}")
    types, many = jax.tree.flatten(input_dtype)
    if many == jax.tree.structure(0):
        types = types * len(shapes)
    elif many != tree:
        raise ValueError(f"input_dtype must be one, or a tree like that of the input shapes; got {input_dtype!r}")
    inputs = [jax.ShapeDtypeStruct((1, *map(int, shape)), dtype) for shape, dtype in zip(shapes, types, strict=True)]
    return _visit((), Node(layer.name, layer, (), layer.name), jax.tree.unflatten(tree, inputs))


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
    outputs = wiring.picked(values)
    return Step(path, layer, node.sources, node.owner, inputs, outputs, params, state, tuple(inner), wiring)


def shape_of(outputs: Any) -> Any:
    """The shape of one example, or the tree of shapes."""
    return jax.tree.map(lambda x: tuple(x.shape[1:]), outputs)


def kind_of(step: Step) -> str:
    """What a part is: the constructor that made it, or the name of a foreign one."""
    return step.layer.spec.constructor if step.layer.spec is not None else step.layer.name


def count(tree: Any) -> int:
    """How many numbers there are."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def size(tree: Any) -> int:
    """How many bytes they take."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _is_shape(tree: Any) -> bool:
    return isinstance(tree, (tuple, list)) and all(isinstance(length, (int, np.integer)) for length in tree)
