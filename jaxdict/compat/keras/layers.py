"""Layers of jaxdict with Keras 3's arguments and defaults. Names of initializers and activations are Keras's."""

import dataclasses
from collections.abc import Callable
from typing import Any

from jaxdict import layers
from jaxdict.compat.keras import activations, initializers
from jaxdict.layers import Model, buildable


@buildable
def Dense(
    units: int,
    activation: str | Callable[..., Any] | None = None,
    use_bias: bool = True,
    kernel_initializer: str | Callable[..., Any] = "glorot_uniform",
    bias_initializer: str | Callable[..., Any] = "zeros",
    *,
    name: str | None = None,
) -> Model:
    """``keras.layers.Dense``: kernel from ``GlorotUniform``, bias 0, the activation within the layer.

    Args:
      units: number of outputs.
      activation: a name, a function, or None for none.
      use_bias: whether there is a bias.
      kernel_initializer: a name, or ``init(key, shape, dtype)``.
      bias_initializer: likewise.
      name: the layer's name in the parameters.

    Returns:
      jaxdict's ``dense`` with parameters ``kernel`` (in, out) and ``bias``. Regularizers are ``fit``'s ``penalty``.

    Raises:
      ValueError: a name that Keras does not have, or ``units`` below 1. TypeError: ``units`` is no whole number.
    """
    dense = layers.dense(
        units,
        initializer=initializers.get(kernel_initializer),
        bias_initializer=initializers.get(bias_initializer),
        bias=use_bias,
        name=name,
    )
    if activation is None:
        return dense
    function = activations.get(activation)

    def apply(params, state, inputs, *, key=None, train=False):
        outputs, state = dense.apply(params, state, inputs, key=key, train=train)
        return function(outputs), state

    return dataclasses.replace(dense, apply=apply)


@buildable
def BatchNormalization(
    axis: int = -1,
    momentum: Any = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    *,
    name: str | None = None,
) -> Model:
    """``keras.layers.BatchNormalization``: the old average weighs 0.99, the variance is biased, epsilon is 1e-3.

    Args:
      axis: the feature axis of the batched input.
      momentum: the weight of the old value in the running averages, in [0, 1].
      epsilon: added to the variance, > 0.
      center: whether there is a learned offset, Keras's ``beta``.
      scale: whether there is a learned scale, Keras's ``gamma``.
      name: the layer's name in the parameters.

    Returns:
      jaxdict's ``batch_norm``.

    Raises:
      ValueError: a number out of range, or the batch axis as the feature axis. TypeError: not a number.
    """
    return layers.batch_norm(momentum=momentum, eps=epsilon, axis=axis, scale=scale, offset=center, name=name)


__all__ = ["BatchNormalization", "Dense"]
