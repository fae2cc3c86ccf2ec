"""``torch.nn.utils``: clipping of gradients, as optax transformations to stand before an optimizer in a chain.

``clip_grad_norm_(model.parameters(), 1.0)`` between ``backward()`` and ``step()`` becomes
``optax.chain(clip_grad_norm_(1.0), SGD(lr=0.1))``.
"""

import math

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict.optimizers._rule import Scalar

__all__ = ["clip_grad_norm_", "clip_grad_value_"]


@_cache.constructor
def clip_grad_norm_(
    max_norm: Scalar, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> optax.GradientTransformationExtraArgs:
    """``clip_grad_norm_``: all gradients, as one vector, times min(1, max_norm/(norm + 1e-6)).

    A norm of just ``max_norm`` shrinks too. An infinite gradient leaves NaN in its place and 0 elsewhere. jaxdict's own
    ``clip_by_global_norm`` has no 1e-6 and no overflow.

    Args:
      max_norm: > 0, a number or a traced scalar.
      norm_type: p of the p-norm, above 0; ``math.inf`` or ``"inf"`` for the largest size.
      error_if_nonfinite: False only: nothing is raised inside a compiled program; see ``optax.apply_if_finite``.
      foreach: without effect.

    Returns:
      The transformation, without memory.

    Raises:
      ValueError: a number out of its range, ``error_if_nonfinite=True``. TypeError: something that is not a number.
    """
    del foreach
    max_norm = _check.scalar("max_norm", max_norm, low=0)
    p = math.inf if norm_type == "inf" else float(_check.number("norm_type", norm_type, above=0))
    if error_if_nonfinite:
        raise ValueError("error_if_nonfinite must be False: compiled programs raise nothing; see optax.apply_if_finite")

    def shrink(updates):
        leaves = jax.tree.leaves(updates)
        if not leaves:
            return updates
        norms = jnp.stack([_norm(leaf, p) for leaf in leaves])
        factor = jnp.minimum(max_norm / (_norm(norms, p) + 1e-6), 1)
        return jax.tree.map(lambda g: (g * factor.astype(_check.compute_dtype(g.dtype))).astype(g.dtype), updates)

    return optax.with_extra_args_support(optax.stateless(lambda updates, params: shrink(updates)))


@_cache.constructor
def clip_grad_value_(clip_value: Scalar, foreach: bool | None = None) -> optax.GradientTransformationExtraArgs:
    """``clip_grad_value_``: each number of the gradients to ±``clip_value``.

    Args:
      clip_value: ≥ 0, a number or a traced scalar.
      foreach: without effect.

    Returns:
      The transformation, without memory.

    Raises:
      ValueError: a number out of its range. TypeError: something that is not a number.
    """
    del foreach
    clip_value = _check.scalar("clip_value", clip_value, low=0)

    def clip(g):
        bound = jnp.asarray(clip_value, g.dtype)
        return jnp.clip(g, -bound, bound)

    return optax.with_extra_args_support(optax.stateless(lambda updates, params: jax.tree.map(clip, updates)))


def _norm(x: jax.Array, p: float) -> jax.Array:
    size = jnp.abs(x.astype(_check.compute_dtype(x.dtype)))
    if p == math.inf:
        return jnp.max(size, initial=0)
    if p == 2:
        return jnp.sqrt(jnp.sum(size * size))
    return jnp.sum(size**p) ** (1 / p)
