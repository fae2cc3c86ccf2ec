"""Layers of jaxdict with torch's arguments and defaults: how they start, and how running averages move."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxdict import _check, initializers, layers, normalization
from jaxdict.layers import Model, buildable


@buildable
def Linear(in_features: int, out_features: int, bias: bool = True, *, name: str | None = None) -> Model:
    """``torch.nn.Linear``: weights and bias start from U[±1/√in_features].

    Args:
      in_features: length of the last axis of the inputs.
      out_features: number of outputs.
      bias: whether there is a bias.
      name: the layer's name in the parameters.

    Returns:
      jaxdict's ``dense``, whose ``kernel`` is (in, out), torch's ``weight`` transposed.

    Raises:
      ValueError: a size below 1; at ``init``, another number of features.
      TypeError: a size that is not a whole number.
    """
    in_features = _check.integer("in_features", in_features, low=1)
    dense = layers.dense(
        out_features,
        initializer="fan_in_uniform",
        bias_initializer=initializers.random("uniform", scale=in_features**-0.5),
        bias=bias,
        name=name,
    )

    def init(key, input_shape):
        if tuple(input_shape)[-1:] != (in_features,):
            raise ValueError(f"Linear takes {in_features} features; got the input shape {tuple(input_shape)}")
        return dense.init(key, input_shape)

    return dataclasses.replace(dense, init=init)


@buildable
def BatchNorm1d(
    num_features: int,
    eps: float = 1e-5,
    momentum: Any = 0.1,
    affine: bool = True,
    track_running_stats: bool = True,
    *,
    name: str | None = None,
) -> Model:
    """``torch.nn.BatchNorm1d``: batch statistics in training, running averages with the unbiased variance afterwards.

    Args:
      num_features: length of axis 1 of the inputs, (N, C) or (N, C, L).
      eps: added to the variance, > 0.
      momentum: the weight of the new value, in [0, 1]; None: the plain average of all batches.
      affine: whether there are a learned scale and offset.
      track_running_stats: whether averages are kept; without, batch statistics are used always.
      name: the layer's name in the parameters.

    Returns:
      A layer as jaxdict's ``batch_norm``: parameters ``scale`` and ``offset``, state ``mean``, ``variance`` and
      ``batches``, torch's ``num_batches_tracked``.

    Raises:
      ValueError: a number out of range; at ``init``, another number of features; in training, one value a channel.
      TypeError: not a number.
    """
    num_features = _check.integer("num_features", num_features, low=1)
    if momentum is not None:
        _check.scalar("momentum", momentum, low=0, high=1)
    base = layers.batch_norm(eps=eps, axis=1, scale=affine, offset=affine, name=name)

    def init(key, input_shape):
        if len(input_shape) not in (1, 2) or input_shape[0] != num_features:
            raise ValueError(f"BatchNorm1d takes ({num_features},) or ({num_features}, L); got {tuple(input_shape)}")
        params, state, output_shape = base.init(key, input_shape)
        return params, {**state, "batches": jnp.zeros((), jnp.int32)} if track_running_stats else {}, output_shape

    def apply(params, state, inputs, *, key=None, train=False):
        if train is not True and track_running_stats:
            return base.apply(params, state, inputs)[0], state
        count = inputs.size // num_features
        if train is True and count == 1:
            raise ValueError(f"BatchNorm1d trains on more than one value a channel; got inputs of shape {inputs.shape}")
        outputs = normalization.batch_norm(
            inputs, scale=params.get("scale"), offset=params.get("offset"), axis=1, eps=eps
        )
        if train is not True or not track_running_stats:
            return outputs, state
        mean, variance = normalization.batch_statistics(inputs, axis=1)
        batches = state["batches"] + 1
        old = 1 - (1 / batches if momentum is None else momentum)
        return outputs, {
            "mean": normalization.update_running(state["mean"], mean, old),
            "variance": normalization.update_running(state["variance"], variance * (count / (count - 1)), old),
            "batches": batches,
        }

    return dataclasses.replace(base, init=init, apply=apply)


__all__ = ["BatchNorm1d", "Linear"]
