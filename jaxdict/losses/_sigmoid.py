"""Cross entropy with a sigmoid, and the factor that makes it focal: elementwise, with their derivatives."""

import jax
import jax.numpy as jnp

from jaxdict._derivative import closed_form
from jaxdict.activations._kernels import log1p

_FAR = 40.0  # exp(-40) is far below what can be added to 1, and the square of exp(40) is finite


def _sides(z, y):
    """abs(z), exp(-abs(z)), and what the target gives to the side that ``z`` speaks against, and to the other."""
    positive = z >= 0
    a = jnp.where(positive, z, -z)  # not abs, whose derivative at 0 is anyone's choice
    return a, jnp.exp(-a), jnp.where(positive, 1 - y, y), jnp.where(positive, y, 1 - y)


def _bernoulli(z, y):
    a, e, against, along = _sides(z, y)
    value = jnp.where(against == 0, 0, a * against) + log1p(e)
    gap = against - along * e  # before the quotient, whose rounding would count more where this cancels
    slope = jnp.where(z >= 0, gap, -gap) / (1 + e)
    return value, (slope, jnp.where((against == 0) & jnp.isinf(z), 0, -z))


@closed_form(_bernoulli)
def bernoulli(z, y):
    """``-y ln sigma(z) - (1 - y) ln sigma(-z)``."""
    return _bernoulli(z, y)[0]


def _miss(z, y):
    """``w = y sigma(-z) + (1 - y) sigma(z)``: what the prediction leaves to the other side than the target's."""
    _, e, against, along = _sides(z, y)
    return (against + along * e) / (1 + e)


def _log_miss(z, y):
    a, e, against, along = _sides(z, y)
    settled = against == 0
    value = jnp.where(
        settled, -jnp.minimum(a, jnp.finfo(a.dtype).max), jnp.log(jnp.where(settled, 1, against + along * e))
    ) - log1p(e)
    return value, _log_miss_slopes(z, y)


def _log_miss_slopes(z, y):
    """The derivatives of ln w; past ``_FAR`` as at it."""
    a, e, against, along = _sides(jnp.clip(z, -_FAR, _FAR), y)
    growth = jnp.exp(a)
    mixed = against * growth + along  # at least 1, and w is mixed e/(1 + e)
    return (1 - 2 * y) / ((1 + e) * mixed), jnp.where(z >= 0, 1 - growth, growth - 1) / mixed


@closed_form(_log_miss)
def log_miss(z, y):
    """ln w, of a w that may be too small for a float."""
    return _log_miss(z, y)[0]


def _modulation(z, y, gamma) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    m, (by_z, by_y) = modulation(z, y, gamma), _log_miss_slopes(z, y)
    return jnp.power(_miss(z, y), gamma), (m * (gamma * by_z), m * (gamma * by_y), m * log_miss(z, y))


@closed_form(_modulation)
def modulation(z, y, gamma):
    """w to the power ``gamma``."""
    return jnp.power(_miss(z, y), gamma)


def _focal(z, y, gamma):
    m, (by_z, by_y) = modulation(z, y, gamma), _bernoulli(z, y)[1]
    w_by_z, w_by_y = _log_miss_slopes(z, y)
    near = bernoulli(jnp.clip(z, -100, 100), y)  # beyond, the factor is constant
    limit = jnp.finfo(z.dtype).max
    return m * bernoulli(z, y), (
        m * (gamma * w_by_z * near + by_z),
        jnp.where(m == 0, 0, m * (gamma * w_by_y * near + by_y)),
        m * log_miss(z, y) * bernoulli(jnp.clip(z, -limit, limit), y),
    )


@closed_form(_focal)
def focal(z, y, gamma):
    """The cross entropy, of which a target that is nearly met has little."""
    return modulation(z, y, gamma) * bernoulli(z, y)
