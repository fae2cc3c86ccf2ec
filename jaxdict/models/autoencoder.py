"""The autoencoder: a model that learns from inputs alone, and whose lower layers start another."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry, layers
from jaxdict._entry import entry
from jaxdict.layers import Model, buildable
from jaxdict.models.mlp import mlp
from jaxdict.models.serial import serial


@entry(
    "model",
    equation="u = f(x @ W1 + b1); u @ W2 + b2",
    aliases=("stacked autoencoder", "denoising autoencoder"),
    sources=(
        "S2 11.2.2", "Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647",
        "Vincent et al. 2008, doi:10.1145/1390156.1390294",
    ),
    conventions={"Vincent et al.": "masked inputs are not scaled up; here they are, by 1/(1 - noise), as in dropout"},
    see_also=("mlp", "unsupervised_pretraining"),
)  # fmt: skip
@buildable
def autoencoder(
    widths: Sequence[int],
    *,
    activation: str | Callable = "relu",
    output: str | Callable | None = None,
    noise: Any = 0.0,
    tied: bool = False,
    name: str | None = None,
) -> Model:
    """Autoencoder: an encoder to ``widths[-1]`` features and a decoder back, to be trained with its inputs as targets.

    Its encoder is the model ``mlp(widths, activation=f, output=f, name="encoder")``, the same object: stack a head on
    it and take its numbers by ``transfer.reuse(params, source, "encoder/*")``. Inputs corrupted in another way than by
    ``noise`` come from ``augment`` of ``fit``, which leaves the targets clean.

    Args:
      widths: input, hidden …, code widths; at least two. The decoder has them in turn.
      activation: f, of all layers but the last, the code's too; a name or function.
      output: an output unit for the reconstruction, such as "sigmoid"; None: as it is.
      noise: the probability that an input is 0 in training, in [0, 1); the others are scaled up. May be traced.
      tied: whether the decoder's kernels are the encoder's, transposed, so that it has biases alone.
      name: the name where the model is a part of another.

    Returns:
      A model from ``(batch, widths[0])`` to the same, float32 parameters ``encoder`` and ``decoder``.

    Raises:
      ValueError: fewer than two widths, a width below 1, noise outside [0, 1). KeyError: an unknown name.
    """
    widths = [_check.integer("a width", w, low=1) for w in widths]
    _check.number("noise", noise, low=0, below=1)
    _check.one_of("tied", tied, (True, False))
    encoder = mlp(widths, activation=activation, output=activation, name="encoder")
    corrupted = [layers.dropout(noise)] if _check.is_traced(noise) or noise != 0.0 else []
    if tied:
        return _tied(serial(*corrupted, encoder), widths[::-1], activation, output, name)
    decoder = mlp(widths[::-1], activation=activation, output=output, name="decoder")
    return dataclasses.replace(serial(*corrupted, encoder, decoder, name=name), name=name or "autoencoder")


def _tied(encoder: Model, back: Sequence[int], activation: Any, output: Any, name: str | None) -> Model:
    """The autoencoder whose decoder takes its kernels from the encoder."""
    hidden = _registry.function(activation, "activation")
    last = (lambda x: x) if output is None else _registry.function(output, "activation")
    count = len(back) - 1

    def init(key, input_shape):
        params, state, _ = encoder.init(key, input_shape)
        biases = {f"bias_{i}": jnp.zeros(back[i], jnp.float32) for i in range(1, count + 1)}
        return params | {"decoder": biases}, state, tuple(input_shape)

    def apply(params, state, inputs, *, key=None, train=False):
        outputs, state = encoder.apply(params, state, inputs, key=key, train=train)
        for i in range(1, count + 1):
            kernel = params["encoder"][f"dense_{count + 1 - i}"]["kernel"]
            bias = params["decoder"][f"bias_{i}"]
            outputs = outputs @ kernel.T + jax.lax.broadcast(bias, outputs.shape[:-1])
            outputs = hidden(outputs) if i < count else last(outputs)
        return outputs, state

    return Model(init, apply, name=name or "autoencoder", named=name is not None, mixes_examples=False)
