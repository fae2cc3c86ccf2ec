"""Shapes: what each example is folded to."""

import math
from collections.abc import Sequence

import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers._model import Model, buildable, stateless


@entry(
    "layer",
    equation="x",
    aliases=("flatten layer",),
    sources=("S2 10.2",),
    conventions={"torch": "Flatten(start_dim=1), the same", "keras": "the same"},
)
@buildable
def flatten(*, name: str | None = None) -> Model:
    """Flatten each example to a vector: ``(batch, a, b, …)`` to ``(batch, a·b·…)``.

    Args:
      name: the layer's name.

    Returns:
      A layer without parameters; any dtype.

    Raises:
      TypeError: an argument that is not named.
    """

    def shape(input_shape):
        return (math.prod(input_shape),)

    return stateless(
        lambda x, key, train: jnp.reshape(x, (x.shape[0], *shape(x.shape[1:]))), name="flatten", label=name, shape=shape
    )


@entry(
    "layer",
    equation="x",
    aliases=("reshape layer", "unflatten"),
    sources=("S2 10.2",),
    conventions={"torch": "Unflatten(1, shape) of vectors", "keras": "Reshape(target_shape), the same"},
    see_also=("flatten",),
)
@buildable
def reshape(shape: Sequence[int], *, name: str | None = None) -> Model:
    """Give each example another shape, its numbers in their order, the last axis fastest.

    Args:
      shape: of one example, without the batch axis; one length may be -1, which is what is left.
      name: the layer's name.

    Returns:
      A layer without parameters; any dtype.

    Raises:
      ValueError: a length below -1, -1 twice, an input of another size. TypeError: no whole number.
    """
    wanted = tuple(_check.integer("a length of shape", n, low=-1) for n in shape)
    if wanted.count(-1) > 1:
        raise ValueError(f"shape may leave one length open by -1; got {wanted}")

    def result(input_shape):
        size, known = math.prod(input_shape), math.prod(n for n in wanted if n != -1)
        if size != known if -1 not in wanted else not known or size % known:
            raise ValueError(f"reshape({wanted}) does not fit inputs of shape {tuple(input_shape)}")
        return tuple(size // known if n == -1 else n for n in wanted)

    return stateless(
        lambda x, key, train: jnp.reshape(x, (x.shape[0], *result(x.shape[1:]))),
        name="reshape", label=name, shape=result,
    )  # fmt: skip
