"""Normalizations as layers, with learned scale and offset."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check, normalization
from jaxdict._entry import entry
from jaxdict.layers._model import Model, Params, Shape, State, buildable
from jaxdict.layers._weights import computed, float_type


@entry(
    "layer",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("batch norm layer",),
    sources=("S0 5.5", "S2 11.1.3"),
    symbols={"eps": "epsilon"},
    conventions={
        "torch": "momentum is the weight of the new value (0.1 here is 0.9); running variance corrected by m/(m-1)",
        "keras": "momentum 0.99 of the old value, eps 1e-3, running variance biased",
        "flax": "momentum 0.99 of the old value, eps 1e-5, running variance biased",
    },
    errata=("S2 11.1.3 prints step 4 as γ⊗x + β; it is γ⊗x̂ + β.",),
    see_also=("batch_norm",),
)
@buildable
def batch_norm(
    *,
    momentum: Any = 0.9,
    eps: float = 1e-5,
    axis: int = -1,
    scale: bool = True,
    offset: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Batch normalization as a layer: batch statistics in training, running averages afterwards.

    Args:
      momentum: the weight of the old value in the running averages, in [0, 1].
      eps: added to the variance, > 0.
      axis: the feature axis of the batched input; statistics are over all the others.
      scale: whether there is a learned scale (γ, from 1).
      offset: whether there is a learned offset (β, from 0).
      dtype: the floating type that inputs are cast to and outputs have; the inputs' own when None.
      param_dtype: the type that scale and offset are made in; float32 when None.
      name: the layer's name.

    Returns:
      A layer of the input's shape with parameters ``scale`` and ``offset`` and state ``mean`` and ``variance``
      (biased), each ``(features,)``, of the default float whatever the types of inputs and parameters.

    Raises:
      ValueError: a momentum outside [0, 1], eps not above 0, or the batch axis as the feature axis. TypeError: an axis
        that is not a whole number.
    """
    _check.number("momentum", momentum, low=0, high=1)
    _check.number("eps", eps, above=0)
    start = _Start("batch_norm", _check.integer("axis", axis), scale, offset, dtype, param_dtype)

    def init(key, input_shape):
        params, shape = start.params(input_shape)
        return params, {"mean": jnp.zeros(shape), "variance": jnp.ones(shape)}, tuple(input_shape)

    def apply(params, state, inputs, *, key=None, train=False):
        x, learned = start.arrays(params, inputs)
        normalize = functools.partial(normalization.batch_norm, x, **learned, axis=axis, eps=eps)
        if train is not True:
            return normalize(mean=state["mean"], variance=state["variance"]), state
        # Not told the mean, which is rounded, the formula subtracts it exactly.
        return normalize(), _averaged(state, x, axis, momentum)

    return Model(init, apply, name=name or "batch_norm", named=name is not None, mixes_examples=True)


@entry(
    "layer",
    equation=(
        "mu_B = mean(x); sigma_B = sqrt(var(x) + epsilon); sigma_ = sqrt(v + epsilon);"
        " r = max(1/r_max, min(sigma_B/sigma_, r_max)); d = max(-d_max, min((mu_B - mu)/sigma_, d_max));"
        " gamma*((x - mu_B)/sigma_B*r + d) + beta"
    ),
    aliases=("batch renorm layer",),
    sources=("S0 5.5.1", "Ioffe 2017, arXiv:1702.03275"),
    symbols={"eps": "epsilon"},
    conventions={
        "keras": "none since Keras 3; before, BatchNormalization(renorm=True)",
        "Ioffe": "momentum 0.99; the limits open from 1 and 0: opening=(5_000, 40_000, 25_000)",
    },
    see_also=("batch_renorm", "batch_norm"),
)
@buildable
def batch_renorm(
    *,
    momentum: Any = 0.99,
    r_max: float = 3.0,
    d_max: float = 5.0,
    opening: tuple[int, int, int] | None = None,
    eps: float = 1e-5,
    axis: int = -1,
    scale: bool = True,
    offset: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Batch renormalization as a layer: in training drawn towards the running averages, which it uses afterwards.

    Args:
      momentum: the weight of the old value in the running averages, in [0, 1].
      r_max: ≥ 1, the most that the ratio of the deviations may count.
      d_max: ≥ 0, the most that the distance of the means may count, in deviations.
      opening: the steps ``(start, r_end, d_end)`` over which the limits go from batch norm's, 1 and 0, to what is
        given; None: they are what is given from the first step.
      eps: added to the variances, > 0.
      axis: the feature axis of the batched input; statistics are over all the others.
      scale: whether there is a learned scale (γ, from 1).
      offset: whether there is a learned offset (β, from 0).
      dtype: the floating type that inputs are cast to and outputs have; the inputs' own when None.
      param_dtype: the type that scale and offset are made in; float32 when None.
      name: the layer's name.

    Returns:
      A layer of the input's shape with parameters ``scale`` and ``offset`` and state ``mean`` and ``variance``, each
      ``(features,)``, of the default float whatever the types of inputs and parameters; with ``opening`` also
      ``steps``, int32.

    Raises:
      ValueError: a number out of its range, or the batch axis as the feature axis. TypeError: an axis that is not a
        whole number.
    """
    _check.number("momentum", momentum, low=0, high=1)
    _check.number("r_max", r_max, low=1)
    _check.number("d_max", d_max, low=0)
    _check.number("eps", eps, above=0)
    if opening is not None and np.shape(opening) != (3,):
        raise ValueError(f"opening must be three steps, (start, r_end, d_end); got {opening!r}")
    start = _Start("batch_renorm", _check.integer("axis", axis), scale, offset, dtype, param_dtype)

    def limits(step):
        if opening is None:
            return r_max, d_max
        begin, r_end, d_end = opening
        return normalization.renorm_limits(step, start=begin, r_end=r_end, d_end=d_end, r_max=r_max, d_max=d_max)

    limits(0)  # wrong steps fail here, where it is built

    def init(key, input_shape):
        params, shape = start.params(input_shape)
        state = {"mean": jnp.zeros(shape), "variance": jnp.ones(shape)}
        return params, state if opening is None else state | {"steps": jnp.int32(0)}, tuple(input_shape)

    def apply(params, state, inputs, *, key=None, train=False):
        x, learned = start.arrays(params, inputs)
        kept = {"mean": state["mean"], "variance": state["variance"]}
        if train is not True:
            return normalization.batch_norm(x, **learned, **kept, axis=axis, eps=eps), state
        r, d = limits(state.get("steps"))
        outputs = normalization.batch_renorm(x, **learned, **kept, r_max=r, d_max=d, axis=axis, eps=eps)
        new = _averaged(state, x, axis, momentum)
        return outputs, new if opening is None else new | {"steps": state["steps"] + 1}

    return Model(init, apply, name=name or "batch_renorm", named=name is not None, mixes_examples=True)


@entry(
    "layer",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("layer norm layer",),
    sources=("Ba, Kiros and Hinton 2016, arXiv:1607.06450",),
    symbols={"eps": "epsilon"},
    conventions={
        "torch": "LayerNorm(normalized_shape): the last axes, eps 1e-5", "keras": "LayerNormalization: eps 1e-3",
        "flax": "LayerNorm: eps 1e-6",
    },
    see_also=("layer_norm", "rms_norm"),
)  # fmt: skip
@buildable
def layer_norm(
    *,
    axis: int | Sequence[int] = -1,
    eps: float = 1e-5,
    scale: bool = True,
    offset: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Layer normalization as a layer: each example's features to mean 0 and deviation 1, then scaled and shifted.

    Args:
      axis: one or several of the batched input, over which mean and variance are taken; not the batch.
      eps: added to the variance, > 0.
      scale: whether there is a learned scale (γ, from 1), of the shape of these axes.
      offset: whether there is a learned offset (β, from 0), likewise.
      dtype: the floating type that inputs are cast to and outputs have; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name.

    Returns:
      A layer of the input's shape with parameters ``scale`` and ``offset``; the same in training and afterwards.

    Raises:
      ValueError: eps not above 0, the batch axis, no axis, or one that the input does not have or that is named twice.
      TypeError: an axis that is not a whole number.
    """
    _check.number("eps", eps, above=0)
    start = _Start("layer_norm", axis, scale, offset, dtype, param_dtype)
    return start.model(functools.partial(normalization.layer_norm, axis=axis, eps=eps), name)


@entry(
    "layer",
    equation="gamma*x/sqrt(mean(x**2) + epsilon)",
    aliases=("rms norm layer",),
    sources=("Zhang and Sennrich 2019, arXiv:1910.07467",),
    symbols={"eps": "epsilon"},
    conventions={
        "torch": "RMSNorm: eps=None is the machine epsilon of the input's type", "keras": "RMSNormalization: eps 1e-6",
        "flax": "RMSNorm: eps 1e-6",
    },
    see_also=("rms_norm", "layer_norm"),
)  # fmt: skip
@buildable
def rms_norm(
    *,
    axis: int | Sequence[int] = -1,
    eps: float = 1e-6,
    scale: bool = True,
    offset: bool = False,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Root mean square normalization as a layer: each example's features over their root mean square, then scaled.

    Args:
      axis: one or several of the batched input, over which the mean is taken; not the batch.
      eps: added to the mean square, > 0.
      scale: whether there is a learned scale (γ, from 1), of the shape of these axes.
      offset: whether there is a learned offset (β, from 0), likewise.
      dtype: the floating type that inputs are cast to and outputs have; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name.

    Returns:
      A layer of the input's shape with the parameter ``scale``; the same in training and afterwards.

    Raises:
      ValueError: eps not above 0, the batch axis, no axis, or one that the input does not have or that is named twice.
      TypeError: an axis that is not a whole number.
    """
    _check.number("eps", eps, above=0)
    start = _Start("rms_norm", axis, scale, offset, dtype, param_dtype)
    return start.model(functools.partial(normalization.rms_norm, axis=axis, eps=eps), name)


@entry(
    "layer",
    equation="gamma*(x - mean(x))/sqrt(var(x) + epsilon) + beta",
    aliases=("group norm layer", "instance norm layer"),
    sources=("Wu and He 2018, arXiv:1803.08494",),
    symbols={"eps": "epsilon"},
    conventions={
        "torch": "GroupNorm(num_groups, num_channels): channels are axis 1; eps 1e-5",
        "keras": "GroupNormalization: 32 groups, eps 1e-3", "flax": "GroupNorm: 32 groups, eps 1e-6",
    },
    see_also=("group_norm", "layer_norm"),
)  # fmt: skip
@buildable
def group_norm(
    groups: int,
    *,
    axis: int = -1,
    eps: float = 1e-5,
    scale: bool = True,
    offset: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Group normalization as a layer: each example over space and a group of neighbouring channels.

    Args:
      groups: a divisor of the channels; as many as there are is instance normalization.
      axis: of the channels in the batched input; not the batch.
      eps: added to the variance, > 0.
      scale: whether there is a learned scale (γ, from 1).
      offset: whether there is a learned offset (β, from 0).
      dtype: the floating type that inputs are cast to and outputs have; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name.

    Returns:
      A layer of the input's shape with parameters ``scale`` and ``offset``, each ``(channels,)``; the same in training
      and afterwards.

    Raises:
      ValueError: groups that do not divide the channels, eps not above 0, the batch axis. TypeError: no whole number.
    """
    groups = _check.integer("groups", groups, low=1)
    _check.number("eps", eps, above=0)
    axis = _check.integer("axis", axis)
    start = _Start(f"group_norm({groups})", axis, scale, offset, dtype, param_dtype, divisor=groups)

    def normalize(x, **learned):
        return normalization.group_norm(x, groups, axis=axis, eps=eps, **learned)

    return start.model(normalize, name)


class _Start:
    """Scale and offset of a normalization: checked when it is built, made at its ``init``."""

    def __init__(
        self, label: str, axis: int | Sequence[int], scale: bool, offset: bool, dtype: Any, param_dtype: Any,
        divisor: int = 1,
    ):  # fmt: skip
        self.label, self.divisor = label, divisor
        self.axes = tuple(_check.integer("axis", a) for a in (axis if isinstance(axis, Sequence) else (axis,)))
        if 0 in self.axes:
            raise ValueError("axis must be a feature axis of the batched input; 0 is the batch")
        if not self.axes:
            raise ValueError("axis must name one axis or more; got none")
        self.learned = [name for name, there in (("scale", scale), ("offset", offset)) if there]
        self.dtype = float_type("dtype", dtype)
        self.param_dtype = float_type("param_dtype", param_dtype) or jnp.float32

    def params(self, input_shape: Shape) -> tuple[dict[str, jax.Array], Shape]:
        """The parameters, and their shape."""
        rank, given = len(input_shape) + 1, self.axes[0] if len(self.axes) == 1 else self.axes
        places = sorted({axis % rank for axis in self.axes})
        if any(not -rank < axis < rank for axis in self.axes) or len(places) < len(self.axes):
            name = self.label.partition("(")[0]
            raise ValueError(f"{name}(axis={given}) does not fit an input of shape (batch, *{tuple(input_shape)})")
        shape = tuple(input_shape[place - 1] for place in places)
        if shape[0] % self.divisor:
            raise ValueError(f"{self.label} must divide the channels; got the input shape {tuple(input_shape)}")
        start = {"scale": 1, "offset": 0}
        return {name: jnp.full(shape, start[name], self.param_dtype) for name in self.learned}, shape

    def arrays(self, params: Params, inputs: Any) -> tuple[jax.Array, dict[str, Any]]:
        """The inputs in their type, and what is learned."""
        return computed(inputs, self.dtype), {name: params.get(name) for name in ("scale", "offset")}

    def model(self, normalize: Callable[..., jax.Array], name: str | None) -> Model:
        """A layer without state."""

        def init(key, input_shape):
            return self.params(input_shape)[0], {}, tuple(input_shape)

        def apply(params, state, inputs, *, key=None, train=False):
            x, learned = self.arrays(params, inputs)
            return normalize(x, **learned), state

        kind = self.label.partition("(")[0]
        return Model(init, apply, name=name or kind, named=name is not None, mixes_examples=False)


def _averaged(state: State, x: jax.Array, axis: int, momentum: Any) -> dict[str, jax.Array]:
    """Running averages after one more batch."""
    mean, variance = normalization.batch_statistics(x, axis=axis)
    return {
        "mean": normalization.update_running(state["mean"], mean, momentum),
        "variance": normalization.update_running(state["variance"], variance, momentum),
    }
