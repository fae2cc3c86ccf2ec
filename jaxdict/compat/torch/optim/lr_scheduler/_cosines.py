"""Cosines: without end, and with warm restarts."""

import jax.numpy as jnp
import numpy as np

from jaxdict import _cache, _check
from jaxdict.compat.torch.optim.lr_scheduler._base import LRScheduler, Scalar, base_rate

_FAR = 2**31  # no run has more updates: an int32 counts them


@_cache.constructor
def CosineAnnealingLR(lr: Scalar, T_max: int, eta_min: Scalar = 0.0) -> LRScheduler:
    """``CosineAnnealingLR``: half a cosine down to ``eta_min`` at step ``T_max``, and up again after it, without end.

    jaxdict's, optax's and Keras's cosine stay below.

    Args:
      lr: the base rate.
      T_max: ≥ 1, steps down.
      eta_min: the lowest rate, absolute.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number.
    """
    lr, eta_min = base_rate(lr), _check.scalar("eta_min", eta_min)
    T_max = _check.integer("T_max", T_max, low=1)

    def raised(step):
        return 1 + jnp.cos(jnp.pi * step / T_max)

    def rate(t):
        if t.dtype != jnp.float64:
            return eta_min + (lr - eta_min) * raised(jnp.mod(t, 2 * T_max)) / 2
        # torch goes on from rate to rate, and out of a valley with the digits of 1 - cos(pi/T_max), which differ from
        # those of the cosine there in the eleventh place where T_max is 1000.
        valley = T_max * (2 * jnp.floor_divide(t - T_max - 1, 2 * T_max) + 1)
        first = (1 - jnp.cos(jnp.pi / jnp.asarray(T_max, t.dtype))) / raised(valley + 1)
        height = jnp.where(t > T_max, first, 1) if T_max > 1 else 1
        return eta_min + (lr - eta_min) * raised(t) * height / 2

    return LRScheduler(rate)


@_cache.constructor
def CosineAnnealingWarmRestarts(lr: Scalar, T_0: int, T_mult: int = 1, eta_min: Scalar = 0.0) -> LRScheduler:
    """``CosineAnnealingWarmRestarts``: half cosines from the base rate to ``eta_min``, each ``T_mult`` times longer.

    Args:
      lr: the base rate.
      T_0: ≥ 1, steps of the first.
      T_mult: ≥ 1, a whole number.
      eta_min: the lowest rate, absolute.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range. TypeError: something that is no number.
    """
    lr, eta_min = base_rate(lr), _check.scalar("eta_min", eta_min)
    T_0, T_mult = _check.integer("T_0", T_0, low=1), _check.integer("T_mult", T_mult, low=1)
    starts, lengths = [0], [T_0]
    while T_mult > 1 and starts[-1] < _FAR:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(lengths[-1] * T_mult)

    def rate(t):
        if T_mult == 1:
            done, length = jnp.mod(t, T_0), T_0
        else:
            begin = jnp.asarray(np.asarray(starts, float), t.dtype)
            which = jnp.searchsorted(begin, t, side="right") - 1
            done, length = t - begin[which], jnp.asarray(np.asarray(lengths, float), t.dtype)[which]
        return eta_min + (lr - eta_min) * (1 + jnp.cos(jnp.pi * done / length)) / 2

    return LRScheduler(rate)
