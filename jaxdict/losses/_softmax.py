"""Softmax cross entropy over the last axis, with its derivatives.

Logits are shifted by their maximum, which takes part as 1 + (the rest), so that nothing cancels: not where one class
has nearly all the probability, not in ties, not at any offset. Long rows may stay as they are, for the
shift is rounded; the maximum then takes part as its own exponential.
"""

import functools

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxdict.activations._kernels import exp_below
from jaxdict.activations._rows import LONG, SHORT, largest, start_of_long, summed
from jaxdict.losses._shared import by_slope, is_label, pick

_program = functools.partial(jax.jit, inline=True)  # called by itself, a function is one program


def _shift(logits: jax.Array, top: jax.Array) -> jax.Array:
    return jnp.where(logits == top, 0, logits - top)  # 0 also where the maximum is infinite


class _Shifted:
    """Logits over the last axis less their maximum, and what exp of that sums to beside the maximum's own 1."""

    def __init__(self, logits: jax.Array):
        top = largest(logits, -1)

        def term(logits):
            is_top = logits == top
            return jnp.where(is_top, 0, exp_below(logits - top)), is_top.astype(logits.dtype)

        others, ties = summed(term, -1, logits)
        # Several infinities have no limit.
        self.rest = jnp.where(jnp.isinf(top) & (ties > 1), jnp.nan, others + (ties - 1))
        self.z = _shift(logits, top)


@jax.custom_jvp
@_program
def _softmax(logits):
    s = _Shifted(logits)
    return exp_below(s.z) / (1 + s.rest)


@_softmax.defjvp
def _(primals, tangents):
    p, (t,) = _softmax(*primals), tangents
    return p, p * (t - jnp.sum(p * t, axis=-1, keepdims=True))


@jax.custom_jvp
@_program
def _surprise(logits):
    """``-ln softmax``, both of whose parts are positive."""
    s = _Shifted(logits)
    return jnp.log1p(s.rest) - s.z


@_surprise.defjvp
def _(primals, tangents):
    (t,) = tangents
    return _surprise(*primals), jnp.sum(_softmax(*primals) * t, axis=-1, keepdims=True) - t


def _tamed(surprise: jax.Array, targets: jax.Array) -> jax.Array:
    """The surprise, 0 where it is infinite and the target 0."""
    return jnp.where((targets == 0) & jnp.isinf(surprise), 0, surprise)


# ---------------------------------------------------------------------------------------------------- dense targets


class _Weighed:
    """The surprise less the shifted logits, ln(1 + rest), where the likeliest class is the 1.

    The rest is summed as exp less the targets' shares, whose sum is 1: where the likeliest class is what is aimed at
    they cancel exactly, and elsewhere the loss is far above the rounding of that 1. Ties need not be counted.
    """

    def __init__(self, logits: jax.Array, targets: jax.Array):
        self.top, long = largest(logits, -1), logits.shape[-1] >= LONG
        self.start = start_of_long(self.top) if long else self.top
        self.most = exp_below(_shift(self.top, self.start)) if long else 1
        self.total = jnp.sum(targets, axis=-1, keepdims=True)
        self.per_total = jnp.where(self.total == 0, 0, 1 / jnp.where(self.total == 0, 1, self.total))
        rest = summed(self.excess, -1, logits, targets)
        rest = jnp.where(rest < 0, 0, rest)  # a maximum may lose NaN, see `_rows`
        infinite = jnp.where(rest < 0.5, 0, jnp.nan)  # several infinities have no limit
        self.rest = jnp.where(jnp.isinf(self.top), infinite, rest)

    def excess(self, logits: jax.Array, targets: jax.Array) -> jax.Array:
        e = jnp.where(logits == self.top, self.most, exp_below(logits - self.start))
        return e - targets * (self.per_total * self.most)


@jax.custom_jvp
@_program
def dense(logits, targets):
    """The sum of targets times surprises."""
    s = _Weighed(logits, targets)
    least = jnp.log1p(s.rest / s.most)

    def term(logits, targets):
        return jnp.where(targets == 0, 0, targets * (least - _shift(logits, s.top)))

    return summed(term, -1, logits, targets)[..., 0]


@functools.partial(dense.defjvp, symbolic_zeros=True)
def _(primals, tangents):
    logits, targets = primals
    slopes = _dense_slope, lambda z, y: _tamed(_surprise(z), y)
    moving = zip(slopes, tangents, strict=True)
    changes = [slope(logits, targets) * t for slope, t in moving if not isinstance(t, SymbolicZero)]
    value = dense(logits, targets)
    return value, jnp.sum(functools.reduce(jnp.add, changes), axis=-1) if changes else jnp.zeros_like(value)


@jax.custom_jvp
@_program
def _dense_slope(logits, targets):
    """``p Σy - y``."""
    s = _Weighed(logits, targets)
    return (s.total * s.excess(logits, targets) - targets * s.rest) / (s.most + s.rest)


@_dense_slope.defjvp
def _(primals, tangents):
    (logits, targets), (dz, dy) = primals, tangents
    p = _softmax(logits)
    total, change = (jnp.sum(v, axis=-1, keepdims=True) for v in (targets, dy))
    return _dense_slope(logits, targets), total * p * (dz - jnp.sum(p * dz, axis=-1, keepdims=True)) + p * change - dy


def terms(logits, targets):
    """Targets times surprises."""
    return targets * _tamed(_surprise(logits), targets)


# --------------------------------------------------------------------------------------------------- integer labels


class _Labelled:
    """The label's shifted logit, and what exp gives: of the label's, of the largest, of the other classes together."""

    def __init__(self, logits: jax.Array, labels: jax.Array):
        top, own = largest(logits, -1), pick(logits, labels)
        self.start = start_of_long(top) if logits.shape[-1] >= LONG else top

        def other(logits, places):
            return jnp.where(places == labels[..., None], 0, exp_below(_shift(logits, self.start)))

        places = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
        # A long row is kept for the slope, which is made of the same.
        short = logits.shape[-1] <= SHORT
        others = summed(other, -1, logits, places)[..., 0] if short else jnp.sum(other(logits, places), axis=-1)
        top, start = top[..., 0], self.start[..., 0]
        self.z = _shift(own, top)
        self.own = jnp.exp(_shift(own, start))
        self.most = jnp.exp(_shift(top, start)) if logits.shape[-1] >= LONG else 1
        unsure = jnp.isinf(top) & (others + self.own != 1)  # several infinities have no limit
        self.others = jnp.where(unsure, jnp.nan, others)


@jax.custom_jvp
@_program
def _sparse_slope(logits, labels):
    s = _Labelled(logits, labels)
    slope = jnp.where(is_label(labels, logits), -s.others[..., None], exp_below(_shift(logits, s.start)))
    return slope / (s.others + s.own)[..., None]


@_sparse_slope.defjvp
def _(primals, tangents):
    p, t = _softmax(primals[0]), tangents[0]
    return _sparse_slope(*primals), p * (t - jnp.sum(p * t, axis=-1, keepdims=True))


@by_slope(_sparse_slope)
def sparse(logits, labels):
    """The surprise of the label; NaN where there is no such class."""
    s = _Labelled(logits, labels)
    lack = jnp.where(s.z == 0, 0, s.own - s.most)
    return jnp.log1p((s.others + lack) / s.most) - s.z
