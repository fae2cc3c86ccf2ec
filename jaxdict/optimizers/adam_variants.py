"""Adam with another denominator (AdaMax, AMSGrad) and with another numerator (Nadam)."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, cast, corrections, divide, elementwise


class ScaleByAdamaxState(NamedTuple):
    """Memory of ``scale_by_adamax``: the decaying mean ``m`` of the gradient, the decaying maximum ``u`` of it."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    m: Any
    u: Any


class AdamaxState(NamedTuple):
    """Memory of ``adamax``: the decaying mean ``m`` of the gradient, the decaying maximum ``u`` of its size."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    m: Any
    u: Any


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; u = max(beta2*u, abs(g)); theta = theta - eta/(1 - beta1**t)*m/u",
    aliases=("ada max", "adam infinity norm"),
    sources=("S0 6.7.1", "S2 11.3.5", "Kingma and Ba 2015, arXiv:1412.6980"),
    errata=(
        "S0 6.7.1 divides by u without epsilon: a gradient of 0 in the first step gives 0/0. Here that step is 0.",
        "S0 6.7.1: theta on the right lacks its t.",
        "S0 6.7 allows the decay rates in [0, 1]; at 1 the correction divides by 0: [0, 1).",
        "S2 11.3.5: the maximum is over the size of the gradient, not over the gradient; and its last step must divide"
        " by s, where it keeps Adam's sqrt(s + epsilon).",
    ),
    conventions={
        "torch": "Adamax: rate 0.002; epsilon 1e-8 inside the maximum, abs(g) + epsilon",
        "keras": "Adamax: rate 0.001; epsilon 1e-7 added to u, as here",
        "optax": "adamax: as torch; a rate has to be given",
        "S0": "rate 0.002, b1 0.9, b2 0.999 (there alpha and beta), no epsilon",
    },
    see_also=("adam", "amsgrad"),
)
@_cache.constructor
def adamax(
    learning_rate: ScalarOrSchedule = 2e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """AdaMax: Adam by the largest gradient, which decays, in place of the root of the mean square.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the maximum.
      eps: ≥ 0, added to the maximum. Where it is 0 and every gradient was, the update is 0.
      state_dtype: mean and maximum are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``AdamaxState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    return elementwise(_adamax(b1, b2, eps, sign=-1), AdamaxState, learning_rate, state_dtype=state_dtype)


@_cache.constructor
def scale_by_adamax(
    *, b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 0.0, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """AdaMax's direction m̂/(u + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``adamax``.

    Returns:
      The transformation; its state is a ``ScaleByAdamaxState``.
    """
    return elementwise(_adamax(b1, b2, eps, sign=1), ScaleByAdamaxState, state_dtype=state_dtype)


def _adamax(b1, b2, eps, *, sign):
    b1 = _check.scalar("b1", b1, low=0, below=1)
    b2 = _check.scalar("b2", b2, low=0, below=1)
    eps = _check.scalar("eps", eps, low=0)

    def step(t, eta, dtype):
        beta1, beta2, epsilon = (cast(x, dtype) for x in (b1, b2, eps))
        (rate,) = corrections((sign * eta,), (beta1,), t, dtype)

        def rule(g, m, u):
            m = beta1 * m + (1 - beta1) * g
            u = jnp.maximum(beta2 * u, jnp.abs(g))
            return divide(rate * m, u + epsilon, epsilon), m, u

        return rule

    return step


class ScaleByNadamState(NamedTuple):
    """Memory of ``scale_by_nadam``: ``q``, one minus the product of all momenta, and decaying means ``m``, ``n``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    q: jax.Array
    m: Any
    n: Any


class NadamState(NamedTuple):
    """Memory of ``nadam``: ``q``, one minus the product of all momenta, and decaying means ``m``, ``n`` of g and g²."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    q: jax.Array
    m: Any
    n: Any


@entry(
    "optimizer",
    equation="mu_t = mu*(1 - 0.96**(t*psi)/2); mu_next = mu*(1 - 0.96**((t + 1)*psi)/2);"
    " Q = mu_t*Q + 1 - mu_t; Q_next = mu_next*Q + 1 - mu_next;"
    " m = mu_t*m + (1 - mu_t)*g; n = nu*n + (1 - nu)*g**2;"
    " m_hat = (1 - mu_t)*g/Q + mu_next*m/Q_next; theta = theta - eta*m_hat/(sqrt(n/(1 - nu**t)) + epsilon)",
    aliases=("nesterov adam", "nesterov accelerated adaptive moment estimation"),
    sources=(
        "S0 6.8", "S2 11.3.5", "Dozat 2016, Incorporating Nesterov momentum into Adam, ICLR workshop",
    ),
    errata=(
        "S0 6.8 is the report of 2015: mu without its t in the line of m, and n/(1 - nu**t); the paper of 2016 has mu_t"
        " there and a further factor nu.",
        "S0 6.8: the products begin at i = 0, with which a first step is 0.86 g; from i = 1 on, as here, it is 1.47 g"
        " (a constant mu of 0.9).",
        "S0 6.8 has nu around 0.9, where the paper has 0.999; the g with a hat lacks its t.",
        "S0 6.2 allows mu in [0, 1]; at 1 the correction divides by 0: [0, 1).",
    ),
    conventions={
        "torch": "NAdam: rate 0.002, momentum_decay 0.004; b1 in the line of m (mean=\"constant\" here)",
        "keras": "Nadam: rate 0.001, momentum_decay 1, epsilon 1e-7; b1 in the line of m",
        "optax": "nadam: constant mu, momentum_decay=None here; a rate has to be given",
        "S0": "nu around 0.9; mu_t and epsilon are left open",
        "paper": "mu_t with 0.96**(t/250), in m too; nu*n/(1 - nu**t), extra_decay=True here",
    },
    see_also=("adam", "nesterov", "nesterov_bengio"),
    symbols={"b1": "mu", "b2": "nu", "momentum_decay": "psi"},
)  # fmt: skip
@_cache.constructor
def nadam(
    learning_rate: ScalarOrSchedule = 2e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    momentum_decay: Scalar | None = 0.004,
    mean: str = "scheduled",
    extra_decay: bool = False,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Nadam: Adam whose mean looks one step ahead, with a momentum that grows from about half to whole.

    μ_t = b1·(1 - ½·0.96^(t·momentum_decay)); in the equation Q is 1 - μ₁μ₂…μ_t.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ μ < 1, the momentum in the end.
      b2: 0 ≤ ν < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root.
      momentum_decay: ψ ≥ 0, how fast the momentum grows, 1/250 as in the paper; None for a constant momentum b1.
      mean: ``"scheduled"``, the mean decays by μ_t; ``"constant"``, by b1.
      extra_decay: the further factor ν of the paper of 2016, on the corrected mean of squares.
      state_dtype: the means are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is a ``NadamState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; another ``mean``; a ``state_dtype`` that is
        not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    step, scalars = _nadam(b1, b2, eps, eps_root, momentum_decay, mean, extra_decay, sign=-1)
    return elementwise(step, NadamState, learning_rate, scalars=scalars, state_dtype=state_dtype)


@_cache.constructor
def scale_by_nadam(
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    momentum_decay: Scalar | None = 0.004,
    mean: str = "scheduled",
    extra_decay: bool = False,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Nadam's direction m̂/(√(n̂ + eps_root) + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``nadam``.

    Returns:
      The transformation; its state is a ``ScaleByNadamState``.
    """
    step, scalars = _nadam(b1, b2, eps, eps_root, momentum_decay, mean, extra_decay, sign=1)
    return elementwise(step, ScaleByNadamState, scalars=scalars, state_dtype=state_dtype)


def _nadam(b1, b2, eps, eps_root, momentum_decay, mean, extra_decay, *, sign):
    b1 = _check.scalar("b1", b1, low=0, below=1)
    b2 = _check.scalar("b2", b2, low=0, below=1)
    eps, eps_root = _check.scalar("eps", eps, low=0), _check.scalar("eps_root", eps_root, low=0)
    if momentum_decay is not None:
        momentum_decay = _check.scalar("momentum_decay", momentum_decay, low=0)
    _check.one_of("mean", mean, ("scheduled", "constant"))
    _check.one_of("extra_decay", extra_decay, (True, False))

    def momentum(t, dtype):
        mu = cast(b1, dtype)
        if momentum_decay is None:
            return mu
        return mu * (1 - jnp.exp(t.astype(dtype) * (cast(momentum_decay, dtype) * math.log(0.96))) / 2)

    def advance(t, q):
        mu = momentum(t, q.dtype)
        return mu * q + (1 - mu)

    def step(t, eta, dtype, q):
        mu, following = momentum(t, dtype), momentum(t + 1, dtype)
        decay, nu, epsilon, root = (cast(x, dtype) for x in (b1, b2, eps, eps_root))
        decay = mu if mean == "scheduled" else decay
        of_g = sign * eta * (1 - mu) / q
        of_m = sign * eta * following / (following * q + (1 - following))
        (grow,) = corrections((nu if extra_decay else 1.0,), (nu,), t, dtype)

        def rule(g, m, n):
            m = decay * m + (1 - decay) * g
            n = nu * n + (1 - nu) * (g * g)
            return (of_g * g + of_m * m) / (jnp.sqrt(n * grow + root) + epsilon), m, n

        return rule

    return step, {"q": (0.0, advance)}


class ScaleByAmsgradState(NamedTuple):
    """Memory of ``scale_by_amsgrad``: decaying means of the gradient and its square, the largest of the latter."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    m: Any
    v: Any
    v_max: Any


class AmsgradState(NamedTuple):
    """Memory of ``amsgrad``: decaying means of the gradient and its square, the largest of the latter."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    m: Any
    v: Any
    v_max: Any


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2; v_max = max(v_max, v);"
    " mhat = m/(1 - beta1**t); vhat = v_max/(1 - beta2**t);"
    " theta = theta - eta*mhat/(sqrt(vhat) + epsilon)",
    aliases=("ams grad",),
    sources=("S0 6.9", "Reddi, Kale and Kumar 2018, arXiv:1904.09237"),
    errata=("S0 6.2 allows decay rates in [0, 1]; at 1 the correction divides by 0: [0, 1).",),
    conventions={
        "torch": "Adam(amsgrad=True): the same rule, the maximum over raw moments; epsilon 1e-8",
        "keras": "Adam(amsgrad=True): the same maximum; epsilon 1e-7 is added to the root of the uncorrected moment",
        "optax": 'amsgrad: the maximum over corrected moments, maximum="corrected" here, by which a large first'
        " gradient bounds the steps for ever",
        "paper": "no correction and no epsilon: bias_correction=False, eps=0 here",
    },
    see_also=("adam", "adamax"),
)
@_cache.constructor
def amsgrad(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    maximum: str = "raw",
    bias_correction: bool = True,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """AMSGrad: Adam whose denominator is made of the largest mean of squares so far, so that it does not shrink.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root.
      maximum: ``"raw"``, over the means of squares, then corrected; ``"corrected"``, over the corrected ones.
      bias_correction: divide the moments by 1 - βᵗ; without it this is the paper's form.
      state_dtype: the moments are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``AmsgradState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; another ``maximum``; a ``state_dtype`` that is
        not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    step = _amsgrad(b1, b2, eps, eps_root, maximum, bias_correction, sign=-1)
    return elementwise(step, AmsgradState, learning_rate, state_dtype=state_dtype)


@_cache.constructor
def scale_by_amsgrad(
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    maximum: str = "raw",
    bias_correction: bool = True,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """AMSGrad's direction m̂/(√(v̂ + eps_root) + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``amsgrad``.

    Returns:
      The transformation; its state is a ``ScaleByAmsgradState``.
    """
    step = _amsgrad(b1, b2, eps, eps_root, maximum, bias_correction, sign=1)
    return elementwise(step, ScaleByAmsgradState, state_dtype=state_dtype)


def _amsgrad(b1, b2, eps, eps_root, maximum, bias_correction, *, sign):
    b1 = _check.scalar("b1", b1, low=0, below=1)
    b2 = _check.scalar("b2", b2, low=0, below=1)
    eps, eps_root = _check.scalar("eps", eps, low=0), _check.scalar("eps_root", eps_root, low=0)
    _check.one_of("maximum", maximum, ("raw", "corrected"))
    _check.one_of("bias_correction", bias_correction, (True, False))

    def step(t, eta, dtype):
        beta1, beta2, epsilon, root = (cast(x, dtype) for x in (b1, b2, eps, eps_root))
        rate, grow = sign * eta, 1.0
        if bias_correction:
            rate, grow = corrections((rate, grow), (beta1, beta2), t, dtype)
        before, after = (1.0, grow) if maximum == "raw" else (grow, 1.0)

        def rule(g, m, v, v_max):
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * (g * g)
            v_max = jnp.maximum(v_max, v * before)
            return rate * m / (jnp.sqrt(v_max * after + root) + epsilon), m, v, v_max

        return rule

    return step
