"""Activations as layers, and those that learn their shape."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry, activations
from jaxdict._entry import entry
from jaxdict.layers._model import Model, buildable, stateless
from jaxdict.layers._weights import computed, float_type


@entry(
    "layer",
    equation="f(x)",
    aliases=("activation layer",),
    sources=("S0 4", "S2 10.1.4"),
    see_also=("relu", "gelu", "tanh"),
)
@buildable
def activation(function: str | Callable, *, name: str | None = None, **options: Any) -> Model:
    """An activation as a layer.

    Args:
      function: the name of an activation, or a function ``x -> y`` that treats examples one by one.
      name: the layer's name.
      **options: the activation's own, such as ``negative_slope=0.2``.

    Returns:
      A layer without parameters, of the input's dtype, and its shape where the function keeps it (``glu`` halves it).

    Raises:
      KeyError: an unknown activation, with the closest names. TypeError: an option that it does not have.
      ValueError: an option out of its range, an axis that the inputs do not have.
    """
    called = _registry.function(function, "activation")

    def evaluated(input_shape):
        return jax.eval_shape(called, jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)).shape[1:]

    if options:
        called = functools.partial(called, **options)
        evaluated((2, 2, 2))  # wrong options fail here, where it is built
    elementwise = isinstance(function, str) and not _registry.find(function, "activation").vectors
    shape = tuple if elementwise else evaluated
    return stateless(lambda x, key, train: called(x), name="activation", label=name, shape=shape)


@entry(
    "layer",
    equation="cases((x, x > 0), (alpha*x, True))",
    aliases=("learned leaky relu",),
    sources=("He et al. 2015, arXiv:1502.01852",),
    conventions={
        "torch": "PReLU(num_parameters=1): one slope for all, or one a channel, which is axis 1; from 0.25",
        "keras": "PReLU: a slope for each number of an example, from 0; shared_axes=[1, 2] leaves one a channel",
        "flax": "PReLU: one slope for all, from 0.01",
    },
    see_also=("activation", "leaky_relu"),
)
@buildable
def prelu(
    *, alpha: float = 0.25, shared: bool = False, dtype: Any = None, param_dtype: Any = None, name: str | None = None
) -> Model:
    """Parametric rectified linear unit with learned slopes below 0, one for each channel, the last axis.

    Args:
      alpha: what the slopes start from.
      shared: whether there is one slope for all channels.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that slopes are made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer of the input's shape with the parameter ``alpha``, ``(channels,)`` or ``()``. Weight decay would draw it
      to relu.

    Raises:
      ValueError: a scalar input, a type that is not floating, an alpha that is not a number.
    """
    return _learned("prelu", activations.prelu, "alpha", alpha, shared, dtype, param_dtype, name)


@entry(
    "layer",
    equation="x*sigma(beta*x)",
    aliases=("learned swish", "learned silu"),
    sources=("Ramachandran, Zoph & Le 2017, arXiv:1710.05941",),
    conventions={"torch": "none; SiLU has beta fixed at 1", "keras": "none; silu has beta fixed at 1"},
    see_also=("activation", "gelu"),
)
@buildable
def swish(
    *, beta: float = 1.0, shared: bool = False, dtype: Any = None, param_dtype: Any = None, name: str | None = None
) -> Model:
    """Swish with a learned sharpness, one for each channel, the last axis.

    Args:
      beta: what the sharpness starts from.
      shared: whether there is one for all channels.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that the sharpness is made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer of the input's shape with the parameter ``beta``, ``(channels,)`` or ``()``.

    Raises:
      ValueError: a scalar input, a type that is not floating, a beta that is not a number.
    """

    def function(x, sharpness):
        return activations.swish(x, jnp.broadcast_to(sharpness, x.shape))

    return _learned("swish", function, "beta", beta, shared, dtype, param_dtype, name)


def _learned(
    kind: str, function: Callable, parameter: str, start: float, shared: bool, dtype: Any, param_dtype: Any, name: Any
) -> Model:
    """An activation ``(x, parameter)`` as a layer that learns the parameter."""
    start = _check.scalar(parameter, start)
    dtype, param_dtype = float_type("dtype", dtype), float_type("param_dtype", param_dtype) or jnp.float32

    def init(key, input_shape):
        if not input_shape:
            raise ValueError(f"{kind} needs a channel axis; got the input shape {tuple(input_shape)}")
        return {parameter: jnp.full(() if shared else input_shape[-1:], start, param_dtype)}, {}, tuple(input_shape)

    def apply(params, state, inputs, *, key=None, train=False):
        x, value = computed(inputs, dtype), params[parameter]
        if value.ndim and value.shape != x.shape[-1:]:
            raise ValueError(f"{kind} has {value.shape[0]} channels; got inputs of shape {x.shape}")
        return function(x, value.astype(x.dtype)), state

    return Model(init, apply, name=name or kind, named=name is not None, mixes_examples=False)
