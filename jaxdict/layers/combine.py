"""Several arrays made one: inputs are a tuple, list or dict of arrays, shapes one of shapes.

The order is that of ``jax.tree.leaves``: dicts go by their sorted keys.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers._model import Model, Shape, buildable


@entry(
    "layer",
    equation="cases((x1[i], i < n), (x2[i - n], True))",
    aliases=("concat", "join"),
    sources=("S0 'Layers'",),
    conventions={"torch": "torch.cat(inputs, dim=-1)", "keras": "Concatenate(axis=-1), the same"},
    see_also=("add",),
)
@buildable
def concatenate(*, axis: int = -1, name: str | None = None) -> Model:
    """Join arrays along an axis, in which alone they may differ.

    Args:
      axis: of the batched inputs; not the batch.
      name: the layer's name.

    Returns:
      A layer without parameters, from a tree of arrays to one; types are promoted.

    Raises:
      ValueError: the batch axis, one that the inputs do not have, other axes that differ, no inputs.
      TypeError: an axis that is not a whole number.
    """
    if _check.integer("axis", axis) == 0:
        raise ValueError("axis must be an axis of the examples; 0 is the batch")

    def shape(shapes):
        first = shapes[0]
        place = axis - 1 if axis > 0 else axis
        if not -len(first) <= place < len(first):
            raise ValueError(f"concatenate(axis={axis}) does not fit inputs of shape {shapes}, without the batch")
        place %= len(first)
        others = {(*s[:place], *s[place + 1 :]) for s in shapes}
        if len(others) > 1 or {len(s) for s in shapes} != {len(first)}:
            raise ValueError(f"concatenate(axis={axis}) takes inputs that differ in that axis alone; got {shapes}")
        return (*first[:place], sum(s[place] for s in shapes), *first[place + 1 :])

    return _combined("concatenate", name, lambda arrays: jnp.concatenate(arrays, axis), shape)


@entry(
    "layer",
    equation="x1 + x2",
    aliases=("add layer", "sum of inputs", "residual sum"),
    sources=("He et al. 2015, arXiv:1512.03385",),
    conventions={"torch": "x1 + x2, which broadcasts", "keras": "Add(), which broadcasts axes of length 1"},
    see_also=("concatenate",),
)
@buildable
def add(*, name: str | None = None) -> Model:
    """The sum of arrays of one shape.

    Args:
      name: the layer's name.

    Returns:
      A layer without parameters, from a tree of arrays to one; types are promoted.

    Raises:
      ValueError: shapes that differ, which never broadcast, or no inputs.
    """

    def shape(shapes):
        if len(set(shapes)) > 1:
            raise ValueError(f"add takes inputs of one shape; got {', '.join(map(str, shapes))}")
        return shapes[0]

    return _combined("add", name, lambda arrays: sum(arrays[1:], arrays[0]), shape)


def _combined(
    kind: str, name: str | None, combine: Callable[[list[jax.Array]], jax.Array], shape: Callable[[list[Shape]], Shape]
) -> Model:
    """A layer from a tree of arrays to one."""

    def several(leaves: list[Any], given: Any) -> list[Any]:
        if not leaves:
            raise ValueError(f"{kind} needs one array or more; got {given!r}")
        return leaves

    def init(key, input_shape):
        shapes = jax.tree.leaves(input_shape, is_leaf=_is_shape)
        return {}, {}, shape(several([tuple(s) for s in shapes], input_shape))

    def apply(params, state, inputs, *, key=None, train=False):
        arrays = several([jnp.asarray(a) for a in jax.tree.leaves(inputs)], inputs)
        shape([a.shape[1:] for a in arrays])
        return combine(arrays), state

    return Model(init, apply, name=name or kind, named=name is not None, mixes_examples=False)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(n, int) for n in value)
