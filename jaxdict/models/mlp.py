"""The multilayer perceptron."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxdict import _check, _registry, layers
from jaxdict._entry import entry
from jaxdict.layers import Model, buildable
from jaxdict.models.serial import serial

__all__ = ["mlp"]

# What the activation's signal needs; xavier for the others.
_KERNELS = {
    **dict.fromkeys(
        ("relu", "leaky_relu", "prelu", "rrelu", "relu6", "elu", "celu", "softplus", "squareplus", "swish",
         "hard_swish", "mish", "gelu"),
        "he_normal",
    ),
    "selu": "lecun_normal",
}  # fmt: skip


@entry(
    "model",
    equation="u = f(x @ W1 + b1); u @ W2 + b2",
    aliases=("multilayer perceptron", "feedforward network", "fully connected network"),
    sources=("S2 10.1.5", "S2 10.1.6", "S3"),
    see_also=("dense", "serial"),
)
@buildable
def mlp(
    widths: Sequence[int],
    *,
    activation: str | Callable = "relu",
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    dropout: Any = 0.0,
    batch_norm: str | None = None,
    output: str | Callable | None = None,
    name: str | None = None,
) -> Model:
    """Multilayer perceptron: dense layers with an activation after each hidden one.

    Args:
      widths: input, hidden …, output widths; at least input and output.
      activation: of the hidden layers, a name or function.
      initializer: of the kernels; when None he_normal for the relu family, lecun_normal for selu, else xavier_uniform
        (the output layer too).
      bias_initializer: of the biases; zeros when None. A dense layer has no bias where batch norm follows at once.
      dropout: probability of dropping each hidden unit, in [0, 1); may be traced.
      batch_norm: None, "before" or "after" the activation.
      output: an output unit for regression (a name such as "softplus"); None: logits or means as they are.
      name: the name where the model is a part of another.

    Returns:
      A model from ``(batch, widths[0])`` to ``(batch, widths[-1])``, float32 parameters ``dense_1``, ``dense_2``, ….

    Raises:
      ValueError: fewer than two widths, a width below 1, an input of another width. KeyError: an unknown name.
    """
    widths = [_check.integer("a width", w, low=1) for w in widths]
    if len(widths) < 2:
        raise ValueError(f"widths must hold the input and the output width at least; got {widths}")
    if batch_norm is not None:
        _check.one_of("batch_norm", batch_norm, ["before", "after"])
    function = _registry.function(activation, "activation")
    kernel = initializer or _KERNELS.get(getattr(function, "__name__", ""), "xavier_uniform")
    start = {"initializer": kernel, "bias_initializer": bias_initializer}
    parts = []
    for width in widths[1:-1]:
        parts.append(layers.dense(width, bias=batch_norm != "before", **start))
        if batch_norm == "before":
            parts.append(layers.batch_norm())
        parts.append(layers.activation(activation))
        if batch_norm == "after":
            parts.append(layers.batch_norm())
        if _check.is_traced(dropout) or dropout != 0.0:
            parts.append(layers.dropout(dropout))
    parts.append(layers.dense(widths[-1], **start))
    if output is not None:
        parts.append(layers.activation(output))
    whole = serial(*parts, name=name)

    def init(key, input_shape):
        if tuple(input_shape) != (widths[0],):
            hint = "; flatten the inputs first" if np.prod(input_shape, dtype=int) == widths[0] else ""
            raise ValueError(f"mlp({widths}) takes examples of shape ({widths[0]},); got {tuple(input_shape)}{hint}")
        return whole.init(key, input_shape)

    return dataclasses.replace(whole, init=init, name=name or "mlp")
