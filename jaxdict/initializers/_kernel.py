"""Kernels: which axes are inputs, outputs, receptive field and independent kernels, and the fans that follow."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

import jax

from jaxdict import _check
from jaxdict.distributions import _shape

Axes: TypeAlias = int | Sequence[int]
Factory = TypeVar("Factory", bound=Callable[..., Any])


class Initializer(Protocol):
    """``init(key, shape, dtype) -> array``."""

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = ..., /) -> jax.Array: ...


class Layout(NamedTuple):
    """A kernel's shape, and its axes by the part they play."""

    shape: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...]
    field: tuple[int, ...]

    def size(self, axes: tuple[int, ...]) -> int:
        return math.prod(self.shape[axis] for axis in axes)

    def assemble(self, parts: jax.Array) -> jax.Array:
        """The kernel, of an array whose axes are those of batch, receptive field, inputs and outputs, flat or not."""
        order = (*self.batch, *self.field, *self.inputs, *self.outputs)
        return parts.reshape([self.shape[axis] for axis in order]).transpose(
            [order.index(a) for a in range(len(order))]
        )


def layout(shape: Sequence[int], *, in_axis: Axes, out_axis: Axes, batch_axis: Axes) -> Layout:
    """The axes of a kernel by the part they play.

    Raises ValueError for an axis that ``shape`` does not have or that is named twice.
    """
    shape = _shape(shape)
    groups = [_axes(a) for a in (in_axis, out_axis, batch_axis)]
    named = [axis for group in groups for axis in group]
    for axis in named:
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"a kernel of shape {shape} has no axis {axis}; name its axes with in_axis and out_axis")
    if len({axis % len(shape) for axis in named}) < len(named):
        raise ValueError(f"in_axis {in_axis}, out_axis {out_axis} and batch_axis {batch_axis} name an axis twice")
    inputs, outputs, batch = (tuple(axis % len(shape) for axis in group) for group in groups)
    field = tuple(axis for axis in range(len(shape)) if axis not in {*inputs, *outputs, *batch})
    return Layout(shape, inputs, outputs, batch, field)


def _axes(axes: Axes) -> tuple[int, ...]:
    given = axes if isinstance(axes, (tuple, list)) else (axes,)
    return tuple(_check.integer("axis", axis) for axis in given)


def fans(
    shape: Sequence[int], *, in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), groups: int = 1
) -> tuple[int, int]:
    """The fans of a kernel: how many inputs an output sums over, and how many outputs an input reaches, at stride 1.

    A depthwise kernel (h, w, channels, multiplier) has ``in_axis=(), batch_axis=-2``; a transposed one (h, w, out, in)
    has ``in_axis=-1, out_axis=-2``.

    Args:
      shape: of the kernel.
      in_axis: axis or axes of the inputs.
      out_axis: likewise of the outputs.
      batch_axis: axes of independent kernels; what is left is the receptive field.
      groups: of a grouped convolution (feature_group_count): an input reaches one group of the outputs.

    Returns:
      ``(n_in, n_out)``; (3, 3, 8, 16) has (72, 144), and (3, 3, 2, 16) with 4 groups (18, 36).

    Raises:
      ValueError: an axis that the shape does not have, or one that is named twice; outputs that groups do not divide.
      TypeError: a shape, axis or number of groups that is not made of whole numbers.
    """
    kernel = layout(shape, in_axis=in_axis, out_axis=out_axis, batch_axis=batch_axis)
    field, inputs, outputs = (kernel.size(axes) for axes in (kernel.field, kernel.inputs, kernel.outputs))
    return inputs * field, split(outputs, groups) * field


def split(outputs: int, groups: int) -> int:
    """The outputs of one group; a ValueError when ``groups`` does not divide them."""
    if outputs % _check.integer("groups", groups, low=1):
        raise ValueError(f"groups must divide the number of outputs, {outputs}; got {groups}")
    return outputs // groups


_ARGUMENTS = {
    "mode": 'which fan: "in", "out" or "average".',
    "distribution": '"truncated_normal" (redrawn outside two deviations), "normal" or "uniform".',
    "corrected": "widen the truncated normal, so that it has the whole variance; else it has 0.7737 of it.",
    "in_axis": "axis or axes of the inputs.",
    "out_axis": "likewise of the outputs.",
    "batch_axis": "likewise of independent kernels; what is left is the receptive field.",
    "groups": "of a grouped convolution (feature_group_count): an input reaches one group of the outputs.",
}
_ENDING = """
Returns:
  The initializer ``(key, shape, dtype) -> array``, for real floating dtypes.

Raises:
  ValueError: a number or name that is not allowed; at the call, a shape without the axes.
  TypeError: not a number; at the call, not a key, or a dtype that is not real floating."""


def kernel_options(factory: Factory) -> Factory:
    """Complete a docstring by the arguments, result and errors that the initializers of kernels share.

    What ``help`` shows is whole; what is written at each of them is its own.
    """
    said, _, own = (inspect.getdoc(factory) or "").partition("\n\nArgs:\n")
    shared = [f"  {name}: {_ARGUMENTS[name]}" for name in inspect.signature(factory).parameters if name in _ARGUMENTS]
    factory.__doc__ = "\n".join([said, "", "Args:", *filter(None, [own]), *shared, _ENDING])
    return factory
