"""What layers with parameters share: how these begin, and the types they are held and computed in."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry
from jaxdict import initializers as _initializers  # noqa: F401  (its entries are found by name)
from jaxdict.layers._model import Shape, child

_FLOATS = ("bfloat16", "float16", "float32", "float64")


def float_type(name: str, value: Any) -> Any:
    """The floating type that ``value`` names, or None; a ValueError for any other."""
    if value is None:
        return None
    return jnp.dtype(_check.one_of(name, value if isinstance(value, str) else jnp.dtype(value).name, _FLOATS))


def computed(inputs: Any, dtype: Any) -> jax.Array:
    """``inputs`` in the type that a layer computes in: ``dtype``, or when that is None their own, floating."""
    x = _check.floating(inputs, name="inputs")
    return x if dtype is None else x.astype(dtype)


def initializer_of(name_or_function: str | Callable, **kernel: Any) -> Callable:
    """The initializer called so, told what it takes of ``kernel``, the axes and groups; a function as it is."""
    if not isinstance(name_or_function, str):
        return name_or_function
    make = _registry.find(name_or_function, "initializer").function
    takes = inspect.signature(make).parameters
    return make(**{option: value for option, value in kernel.items() if option in takes})


class Weights:
    """A kernel, and a bias over its last axis: checked when a layer is built, made at its ``init``."""

    def __init__(self, initializer: Any, bias_initializer: Any, bias: bool, param_dtype: Any):
        self.initializer, self.bias = initializer or "xavier_uniform", bias
        initializer_of(self.initializer)
        self.bias_init = initializer_of(bias_initializer or "zeros")
        self.dtype = float_type("param_dtype", param_dtype) or jnp.float32

    def init(self, key: jax.Array, shape: Shape, **kernel: Any) -> dict[str, jax.Array]:
        """``kernel`` of ``shape``, whose axes and groups ``kernel`` tells, and ``bias`` where there is one."""
        made = {"kernel": initializer_of(self.initializer, **kernel)(child(key, "kernel"), shape, self.dtype)}
        if self.bias:
            made["bias"] = self.bias_init(child(key, "bias"), shape[-1:], self.dtype)
        return made


def with_bias(outputs: jax.Array, params: Any) -> jax.Array:
    """``outputs`` and the bias, where there is one, of their type."""
    if "bias" not in params:
        return outputs
    return outputs + jax.lax.broadcast(params["bias"].astype(outputs.dtype), outputs.shape[:-1])
