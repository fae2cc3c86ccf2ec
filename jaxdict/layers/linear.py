"""Weighted sums of all features: the fully connected layer, and the one whose inputs are places: the embedding."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.layers._model import Model, buildable, child
from jaxdict.layers._product import product
from jaxdict.layers._weights import Weights, computed, float_type, initializer_of, with_bias


@entry(
    "layer",
    equation="x @ W + b",
    aliases=("fully connected", "linear layer", "affine"),
    sources=("S0 'Layers'", "S2 10.1", "S3"),
    conventions={
        "torch": "Linear keeps the kernel as (out, in); kernel and bias from U(±1/sqrt(n_in))",
        "keras": "Dense: kernel (in, out) from xavier_uniform, bias 0",
        "flax": "Dense: kernel (in, out) from lecun_normal, bias 0",
    },
    errata=("S3 writes the kernel as (in, out) going forward and as (out, in) in backpropagation, S4 as (out, in).",),
)
@buildable
def dense(
    width: int,
    *,
    initializer: str | Callable | None = None,
    bias_initializer: str | Callable | None = None,
    bias: bool = True,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Fully connected layer, ``x @ kernel + bias`` over the last axis.

    Args:
      width: number of outputs.
      initializer: of the kernel ``(in, out)``, a name or ``init(key, shape, dtype)``; xavier_uniform when None.
      bias_initializer: of the bias ``(out,)``; zeros when None.
      bias: whether there is a bias.
      dtype: the floating type that inputs and parameters are cast to; the inputs' own when None.
      param_dtype: the type that parameters are made in; float32 when None.
      name: the layer's name in the parameters; ``dense_1``, ``dense_2``, … when None.

    Returns:
      A layer from ``(…, in)`` to ``(…, width)`` with parameters ``kernel`` and ``bias``.

    Raises:
      ValueError: a width below 1, a scalar input, a type that is not floating. KeyError: an unknown initializer, with
        the closest names.
    """
    width = _check.integer("width", width, low=1)
    weights, dtype = Weights(initializer, bias_initializer, bias, param_dtype), float_type("dtype", dtype)

    def init(key, input_shape):
        if not input_shape:
            raise ValueError(f"dense({width}) needs at least one feature axis; got the input shape {input_shape}")
        return weights.init(key, (input_shape[-1], width)), {}, (*input_shape[:-1], width)

    def apply(params, state, inputs, *, key=None, train=False):
        x, features = computed(inputs, dtype), params["kernel"].shape[0]
        if x.shape[-1:] != (features,):
            raise ValueError(f"dense({width}) takes {features} features; got inputs of shape {x.shape}")
        return with_bias(product(x, params["kernel"].astype(x.dtype)), params), state

    return Model(init, apply, name=name or "dense", named=name is not None, mixes_examples=False)


@entry(
    "layer",
    equation="W[x]",
    aliases=("embedding table", "lookup table", "token embedding"),
    sources=("Bengio et al. 2003, JMLR 3:1137",),
    conventions={
        "torch": "Embedding: from N(0, 1); an index out of range is an error, padding_idx a row of zeros that stays",
        "keras": "Embedding: from U(±0.05); out of range depends on the backend",
        "flax": "Embed: from N(0, 1/width); out of range NaN, but negative ones count from the end",
    },
    see_also=("dense",),
)
@buildable
def embedding(
    vocabulary: int,
    width: int,
    *,
    initializer: str | Callable | None = None,
    dtype: Any = None,
    param_dtype: Any = None,
    name: str | None = None,
) -> Model:
    """Embedding: each integer becomes a learned vector, row ``i`` of the kernel.

    Args:
      vocabulary: how many there are; inputs are 0 … ``vocabulary - 1``.
      width: the length of a vector.
      initializer: of the kernel ``(vocabulary, width)``, a name or ``init(key, shape, dtype)``, with n_in ``width``;
        lecun_normal when None, so that a vector's length is about 1.
      dtype: the floating type of the outputs; the kernel's when None.
      param_dtype: the type that the kernel is made in; float32 when None.
      name: the layer's name in the parameters.

    Returns:
      A layer from integers ``(…)`` to ``(…, width)`` with the parameter ``kernel``. An integer out of range, negative
      ones too, gives NaN and not another's vector: a run that meets one ends as diverged.

    Raises:
      ValueError: a size below 1, a type that is not floating. TypeError: inputs that are not integers.
    """
    vocabulary, width = _check.integer("vocabulary", vocabulary, low=1), _check.integer("width", width, low=1)
    kernel_init = initializer_of(initializer or "lecun_normal", in_axis=-1, out_axis=-2)
    dtype, param_dtype = float_type("dtype", dtype), float_type("param_dtype", param_dtype) or jnp.float32

    def init(key, input_shape):
        kernel = kernel_init(child(key, "kernel"), (vocabulary, width), param_dtype)
        return {"kernel": kernel}, {}, (*input_shape, width)

    def apply(params, state, inputs, *, key=None, train=False):
        inputs, kernel = jnp.asarray(inputs), jnp.asarray(params["kernel"], dtype)
        if not jnp.issubdtype(inputs.dtype, jnp.integer):
            raise TypeError(f"embedding({vocabulary}, {width}) takes integers; got {inputs.dtype}, {inputs.shape}")
        if jnp.issubdtype(inputs.dtype, jnp.signedinteger):
            wide = inputs.astype(jnp.promote_types(inputs.dtype, jnp.int32))  # which holds the vocabulary
            inputs = jnp.where(wide < 0, vocabulary, wide)  # JAX counts them from the end
        return kernel.at[inputs].get(mode="fill", fill_value=jnp.nan), state

    return Model(init, apply, name=name or "embedding", named=name is not None, mixes_examples=False)
