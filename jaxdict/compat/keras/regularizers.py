"""Keras 3's regularizers over jaxdict's penalties: constructors of ``params -> a number`` that is added to the loss.

Keras gives each variable its own regularizer; here any tree of parameters may be given, as to ``fit(penalty=…)``.
Equal arguments give the same object.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _cache, _check, penalties

Regularizer: TypeAlias = Callable[[Any], jax.Array]


@_cache.constructor
def L1(l1: Any = 0.01) -> Regularizer:
    """``l1*sum(|x|)``.

    Args:
      l1: ≥ 0, a number or a traced scalar.

    Returns:
      ``params -> scalar``, at least float32; the derivative at 0 is 0.

    Raises:
      ValueError: a number below 0. TypeError: not a number.
    """
    strength = _check.scalar("l1", l1, low=0)
    return lambda params: penalties.l1(params, strength)


@_cache.constructor
def L2(l2: Any = 0.01) -> Regularizer:
    """``l2*sum(x**2)``, without a half: torch's ``weight_decay`` is twice this.

    Args:
      l2: ≥ 0, a number or a traced scalar.

    Returns:
      ``params -> scalar``, at least float32.

    Raises:
      ValueError: a number below 0. TypeError: not a number.
    """
    strength = _check.scalar("l2", l2, low=0)
    return lambda params: penalties.l2(params, strength)


@_cache.constructor
def L1L2(l1: Any = 0.0, l2: Any = 0.0) -> Regularizer:
    """``l1*sum(|x|) + l2*sum(x**2)``.

    Args:
      l1: ≥ 0, a number or a traced scalar.
      l2: likewise.

    Returns:
      ``params -> scalar``, at least float32.

    Raises:
      ValueError: a number below 0. TypeError: not a number.
    """
    first, second = L1(l1), L2(l2)
    return lambda params: first(params) + second(params)


@_cache.constructor
def OrthogonalRegularizer(factor: Any = 0.01, mode: Literal["rows", "columns"] = "rows") -> Regularizer:
    """``factor`` times the mean of ``|cos|`` over the pairs of rows, or columns, of a matrix.

    Args:
      factor: ≥ 0, a number or a traced scalar.
      mode: "rows" or "columns".

    Returns:
      ``matrix -> scalar``; lengths are raised to 1e-7. Unlike the others it takes one array.

    Raises:
      ValueError: a number below 0, an unknown mode; at the call, not two axes. TypeError: not a number.
    """
    factor = _check.scalar("factor", factor, low=0)
    axis = 1 if _check.one_of("mode", mode, ("rows", "columns")) == "rows" else 0

    def penalty(matrix: Any) -> jax.Array:
        w = _check.floating(matrix, name="matrix")
        if w.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer takes a matrix; got shape {w.shape}")
        w = w.astype(_check.compute_dtype(w.dtype))
        square = jnp.sum(jnp.square(w), axis=axis, keepdims=True)
        unit = w / jnp.sqrt(jnp.maximum(square, 1e-14))
        cosines = jnp.triu(unit @ unit.T if axis else unit.T @ unit, 1)
        size = cosines.shape[0]
        return jnp.asarray(factor, w.dtype) * penalties.l1(cosines, 1.0) / (size * (size - 1) / 2)

    return penalty


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer


def get(identifier: str | Regularizer | None) -> Regularizer | None:
    """The regularizer of a name, with its defaults.

    Args:
      identifier: a name as "l2" or "L2", a function, which comes back, or None, which does too.

    Returns:
      ``params -> scalar``, or None.

    Raises:
      ValueError: no such name, with the closest ones.
    """
    if identifier is None or callable(identifier):
        return identifier
    return globals()[_check.one_of("regularizer", identifier, __all__)]()


__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "l1", "l1_l2", "l2", "orthogonal_regularizer",
]  # fmt: skip
