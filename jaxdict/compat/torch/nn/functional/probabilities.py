"""Torch's negative log likelihoods: of yes-or-no targets, of counts, of real numbers."""

import math

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check, activations, losses
from jaxdict._derivative import closed_form
from jaxdict.compat.torch.nn.functional._losses import Reduction, chosen, loss, reduced, spread
from jaxdict.losses._shared import pair

_NAMES = ("input", "target")


def _cut_off_logarithms(p):
    return jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log1p(-p), -100)


def _bernoulli_rule(p, y):
    log_p, log_rest = _cut_off_logarithms(p)
    slope = (p - y) / jnp.maximum(p * (1 - p), 1e-12)
    return (y - 1) * log_rest - y * log_p, (slope, log_rest - log_p)


@closed_form(_bernoulli_rule)
def _bernoulli(p, y):
    log_p, log_rest = _cut_off_logarithms(p)
    return (y - 1) * log_rest - y * log_p


@loss
def binary_cross_entropy(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """Cross entropy of yes-or-no targets with probabilities, whose logarithms are cut off at -100.

    The derivative is ``(p - y)/max(p (1 - p), 1e-12)``, so that no loss and no gradient is infinite.

    Args:
      input: probabilities; outside [0, 1] they give NaN.
    """
    how = chosen(reduction, size_average, reduce)
    p, y, _ = pair(input, target, None, names=_NAMES)
    terms = _bernoulli(p, y)
    return reduced(terms if weight is None else terms * spread("weight", weight, terms), how)


@loss
def binary_cross_entropy_with_logits(
    input: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
    pos_weight: ArrayLike | None = None,
) -> jax.Array:
    """Cross entropy of yes-or-no targets with ``sigmoid(input)``.

    Args:
      input: logits.
      pos_weight: factors of the part of the yes, a shape that broadcasts to ``input``'s; no mean divides by them.
    """
    how = chosen(reduction, size_average, reduce)
    z, y, _ = pair(input, target, None, names=_NAMES)
    if pos_weight is None:
        terms = losses.sigmoid_cross_entropy(z, y, axis=None)
    else:
        yes = spread("pos_weight", pos_weight, z) * y
        terms = yes * activations.softplus(-z) + (1 - y) * activations.softplus(z)
    return reduced(terms if weight is None else terms * spread("weight", weight, terms), how)


@loss
def poisson_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: ArrayLike = 1e-8,
    reduce: bool | None = None,
    reduction: Reduction = "mean",
) -> jax.Array:
    """Negative log likelihood of counts from Poisson distributions, without ``ln(target!)`` unless ``full``.

    Args:
      input: logarithms of rates; the rates themselves with ``log_input=False``.
      log_input: whether they are logarithms.
      full: whether to add Stirling's approximation of ``ln(target!)`` where a target is above 1.
      eps: added to a rate inside the logarithm.
    """
    how = chosen(reduction, size_average, reduce)
    x, y, _ = pair(input, target, None, names=_NAMES)
    if _check.one_of("log_input", log_input, (True, False)):
        terms = losses.poisson_nll(x, y, axis=None)
    else:
        terms = x - y * jnp.log(x + jnp.asarray(_check.scalar("eps", eps, low=0), x.dtype))
    if _check.one_of("full", full, (True, False)):
        many = jnp.where(y > 1, y, 2)
        stirling = many * jnp.log(many) - many + jnp.log(2 * math.pi * many) / 2
        terms = terms + jnp.where(y > 1, stirling, 0)
    return reduced(terms, how)


@loss
def gaussian_nll_loss(
    input: ArrayLike,
    target: ArrayLike,
    var: ArrayLike,
    full: bool = False,
    eps: ArrayLike = 1e-6,
    reduction: Reduction = "mean",
) -> jax.Array:
    """Negative log likelihood from normal distributions, ``(ln var + (input - target)**2/var)/2``.

    Args:
      input: means.
      var: variances, not below 0: a number, or an array of ``input``'s shape, of that without its last axis, or with
        one axis of length 1. They are raised to ``eps``; the gradient is as if what was raised had been given.
      full: whether to add ``ln(2 pi)/2`` to each term.
      eps: the least variance.
    """
    how = chosen(reduction)
    x, y, _ = pair(input, target, None, names=_NAMES)
    eps = jnp.asarray(_check.scalar("eps", eps, above=0), x.dtype)
    v = _check.floating(_check.number("var", var, low=0), name="var").astype(x.dtype)
    if v.ndim and v.shape == x.shape[:-1] and v.shape != x.shape:
        v = v[..., None]
    differing = [n for n, m in zip(v.shape, x.shape, strict=True) if n != m] if v.ndim == x.ndim else None
    if v.ndim and differing not in ([], [1]):
        raise ValueError(
            f"var must be a number, or have the shape {x.shape}, without its last axis or with one axis of length 1; "
            f"got {v.shape}"
        )
    v = jnp.broadcast_to(v, x.shape)
    v = v + jax.lax.stop_gradient(jnp.maximum(v, eps) - v)
    return reduced(losses.gaussian_nll(x, y, variance=v, full=full, axis=None), how)


__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "poisson_nll_loss"]
