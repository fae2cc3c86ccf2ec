"""The gradient over the root of its own squares: summed (AdaGrad), averaged (RMSprop), in the units of θ (Adadelta).

Every denominator is √(v + eps_root) + eps. The defaults are those of S0, which has ε inside the root.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import (
    Scalar,
    ScalarOrSchedule,
    cast,
    divide,
    elementwise,
    scalar_or_schedule,
    value_at,
)


class ScaleByAdagradState(NamedTuple):
    """Memory of ``scale_by_adagrad``: the sum ``v`` of squared gradients."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    v: Any


class AdagradState(NamedTuple):
    """Memory of ``adagrad``: the sum ``v`` of squared gradients."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    v: Any


@entry(
    "optimizer",
    equation="v = v + g**2; theta = theta - eta*g/sqrt(v + epsilon)",
    aliases=("adaptive gradient", "adaptive gradient algorithm"),
    sources=(
        "S0 6.4", "S1 1.3", "S2 11.3.3", "S3", "S4",
        "Duchi, Hazan and Singer 2011, Journal of Machine Learning Research 12, 2121-2159",
    ),
    errata=(
        "S0 6.4 prints G as the sum of the gradients; it is that of their squares, as its text says.",
        "S1 1.3: (5) has the whole gradient where one component stands, the derivative by theta_i. In (7) ⊙ is the"
        " elementwise product and not a matrix with a vector, and G + epsilon means G + epsilon*I.",
        "S1 1.3 says to leave the rate at 0.01: on Beale's function from (2, -2) that is nowhere after 10,000 steps,"
        " and 4.2 arrives.",
        "S4 divides by norms of past gradients; it is each component's own squares that are summed.",
        "S4: from (-3, 3) on Beale's function it comes to the minimum's basin only at rates of 2.4 to 5.7.",
    ),
    conventions={
        "torch": "Adagrad: rate 0.01, epsilon 1e-10 outside the root; lr_decay divides the rate by 1 + (t-1)*lr_decay",
        "keras": "Adagrad: rate 0.001, epsilon 1e-7 inside the root, the sum begins at 0.1",
        "optax": "adagrad: epsilon 1e-7 inside the root, the sum begins at 0.1; a rate has to be given",
        "S0": "epsilon 1e-8 inside the root, the sum begins at 0",
        "S1": "rate 0.01, epsilon 1e-8 inside the root",
        "S3": "epsilon 1e-7 outside the root (there delta)",
        "S4": "epsilon 1e-7 outside the root (there nu)",
        "paper": "epsilon outside the root (there delta), the sum begins at 0",
    },
    see_also=("rmsprop", "adadelta", "adam"),
    symbols={"eps_root": "epsilon", "eps": "delta"},
)  # fmt: skip
@_cache.constructor
def adagrad(
    learning_rate: ScalarOrSchedule = 0.01,
    *,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-8,
    initial_accumulator_value: Scalar = 0.0,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad: the gradient over the root of the sum of all its squares so far, each component on its own.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root. Where both are 0 and every gradient was, the update is 0.
      initial_accumulator_value: ≥ 0, what the sum begins at.
      state_dtype: the sum is stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``AdagradState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    start = {"v": _check.scalar("initial_accumulator_value", initial_accumulator_value, low=0)}
    step = _adagrad(eps, eps_root, sign=-1)
    return elementwise(step, AdagradState, learning_rate, start=start, state_dtype=state_dtype)


@_cache.constructor
def scale_by_adagrad(
    *,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-8,
    initial_accumulator_value: Scalar = 0.0,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """AdaGrad's direction g/(√(v + eps_root) + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``adagrad``.

    Returns:
      The transformation; its state is a ``ScaleByAdagradState``.
    """
    start = {"v": _check.scalar("initial_accumulator_value", initial_accumulator_value, low=0)}
    return elementwise(_adagrad(eps, eps_root, sign=1), ScaleByAdagradState, start=start, state_dtype=state_dtype)


def _adagrad(eps, eps_root, *, sign):
    eps, eps_root = _check.scalar("eps", eps, low=0), _check.scalar("eps_root", eps_root, low=0)

    def step(t, eta, dtype):
        epsilon, root, rate = cast(eps, dtype), cast(eps_root, dtype), sign * eta

        def rule(g, v):
            v = v + g * g
            return divide(rate * g, jnp.sqrt(v + root) + epsilon, root, epsilon), v

        return rule

    return step


class ScaleByRmspropState(NamedTuple):
    """Memory of ``scale_by_rmsprop``: decaying means, ``v`` of the squared gradient and, centered, ``m`` of itself."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    v: Any
    m: Any


class RmspropState(NamedTuple):
    """Memory of ``rmsprop``: decaying means, ``v`` of the squared gradient and, centered, ``m`` of itself; velocity.

    ``m`` and ``velocity`` are None where they are not used.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    v: Any
    m: Any
    velocity: Any


@entry(
    "optimizer",
    equation="v = rho*v + (1 - rho)*g**2; theta = theta - eta*g/sqrt(v + epsilon)",
    aliases=("root mean square propagation", "rms prop"),
    sources=(
        "S0 6.5", "S1 1.5", "S2 11.3.4", "S3", "S4",
        "Tieleman and Hinton 2012, Lecture 6.5 of Neural networks for machine learning",
        "Graves 2013, arXiv:1308.0850",
    ),
    errata=(
        "S0 6.5 defines the decaying average of x; it is that of x squared.",
        "S0 6.5 allows the decay in [0, 1]; at 1 nothing is averaged: [0, 1).",
        "S2 11.3.4: the step multiplies by the root; it must divide.",
        "S2 11.3.4 says that it always does better than AdaGrad; on x**2/2 at a constant rate it ends in a cycle at"
        " half the rate on either side, where AdaGrad converges.",
        "S3 has epsilon inside the root in Algorithm 8.5, outside on the handwritten page.",
        "S4: the text adds epsilon to the root, the code without momentum inside it.",
        "S4: on Beale's function from (-3, 3) it does not stay at the minimum at any constant rate; with momentum it"
        " arrives from rates of 9e-3 on.",
    ),
    conventions={
        "torch": "RMSprop: rate 0.01, decay 0.99 (there alpha), epsilon 1e-8 outside the root; the rate multiplies the"
        " whole velocity, which differs when the rate changes",
        "keras": "RMSprop: rate 0.001, decay 0.9 (there rho), epsilon 1e-7 inside the root, the rate in the velocity",
        "optax": "rmsprop: decay 0.9, epsilon 1e-8 inside the root, outside by eps_in_sqrt=False; the rate inside the"
        " velocity; a rate has to be given",
        "S0": "rate 0.001, decay 0.9, epsilon 1e-8 inside the root",
        "S1": "decay 0.9, epsilon inside the root",
        "S2": "decay beta; epsilon inside the root",
        "S3": "epsilon 1e-6 (there delta)",
        "S4": "decay 0.99, epsilon 1e-7; momentum 0.9",
    },
    see_also=("adagrad", "adadelta", "adam", "momentum"),
    symbols={"decay": "rho", "eps_root": "epsilon", "eps": "delta"},
)  # fmt: skip
@_cache.constructor
def rmsprop(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-8,
    momentum: ScalarOrSchedule | None = None,
    nesterov: bool = False,
    centered: bool = False,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """RMSprop: the gradient over the root of the decaying mean of its square.

    The mean begins at 0 and is not corrected, so that the first steps are up to 1/√(1 - decay) rates long.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      decay: 0 ≤ ρ < 1.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root. Where both are 0 and so is the mean, the update is 0.
      momentum: 0 ≤ μ < 1, likewise a schedule, or None: a velocity v ← μv - ηg/√…, by which θ moves.
      nesterov: θ moves by μv - ηg/√… with the new v; under a schedule μ is that of the next step.
      centered: divide by the root of the variance, the mean of the square less the square of the mean.
      state_dtype: means and velocity are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``RmspropState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; ``nesterov`` without ``momentum``; a
        ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    direction, without = _rmsprop(decay, eps, eps_root, centered)
    _check.one_of("nesterov", nesterov, (True, False))
    if momentum is None:
        if nesterov:
            raise ValueError("nesterov needs a momentum; got momentum=None, nesterov=True")
        without = (*without, "velocity")
    else:
        momentum = scalar_or_schedule("momentum", momentum, low=0, below=1)

    def step(t, eta, dtype):
        scaled = direction(dtype, -eta)
        if momentum is None:
            return scaled
        mu, following = (value_at(momentum, count, dtype) for count in (t - 1, t))

        def rule(g, *moments):
            *means, velocity = moments
            fall, *means = scaled(g, *means)
            velocity = mu * velocity + fall
            return (following * velocity + fall if nesterov else velocity), *means, velocity

        return rule

    return elementwise(step, RmspropState, learning_rate, without=without, state_dtype=state_dtype)


@_cache.constructor
def scale_by_rmsprop(
    *,
    decay: Scalar = 0.9,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-8,
    centered: bool = False,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """RMSprop's direction g/(√(v + eps_root) + eps), along the gradient and without a rate, to be chained.

    Chained before ``momentum`` or ``nesterov_bengio`` it is ``rmsprop`` with that momentum.

    Args, Raises: as ``rmsprop``.

    Returns:
      The transformation; its state is a ``ScaleByRmspropState``.
    """
    direction, without = _rmsprop(decay, eps, eps_root, centered)

    def step(t, eta, dtype):
        return direction(dtype, 1)

    return elementwise(step, ScaleByRmspropState, without=without, state_dtype=state_dtype)


def _rmsprop(decay, eps, eps_root, centered):
    """``direction(dtype, rate)``, and the moments that it does without."""
    decay = _check.scalar("decay", decay, low=0, below=1)
    eps, eps_root = _check.scalar("eps", eps, low=0), _check.scalar("eps_root", eps_root, low=0)
    _check.one_of("centered", centered, (True, False))

    def direction(dtype, rate):
        rho, epsilon, root = (cast(x, dtype) for x in (decay, eps, eps_root))

        def plain(g, v):
            v = rho * v + (1 - rho) * (g * g)
            return divide(rate * g, jnp.sqrt(v + root) + epsilon, root, epsilon), v

        def variance(g, v, m):
            v = rho * v + (1 - rho) * (g * g)
            m = rho * m + (1 - rho) * g
            spread = jnp.maximum(v - m * m, 0)  # rounding may take it below
            return divide(rate * g, jnp.sqrt(spread + root) + epsilon, root, epsilon), v, m

        return variance if centered else plain

    return direction, () if centered else ("m",)


class ScaleByAdadeltaState(NamedTuple):
    """Memory of ``scale_by_adadelta``: decaying means of squares, ``v`` of the gradient, ``d`` of the step."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    v: Any
    d: Any


class AdadeltaState(NamedTuple):
    """Memory of ``adadelta``: decaying means of squares, ``v`` of the gradient, ``d`` of the step before the rate."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    v: Any
    d: Any


@entry(
    "optimizer",
    equation="v = rho*v + (1 - rho)*g**2; Delta = -sqrt(d + epsilon)/sqrt(v + epsilon)*g;"
    " d = rho*d + (1 - rho)*Delta**2; theta = theta + eta*Delta",
    aliases=("ada delta",),
    sources=("S0 6.6", "S1 1.4", "Zeiler 2012, arXiv:1212.5701"),
    errata=(
        "S0 6.6 says that it substitutes the rate for the RMS of the steps; the RMS of the steps takes the place of the"
        " rate.",
        "S0 6.6 takes over the decay of RMSprop in [0, 1]; at 1 nothing is averaged: [0, 1).",
        "S1 1.4: (11) averages the square of theta; it is that of the step, Delta theta.",
        "S1 1.4 says that there is no rate to set: epsilon is the hidden one. The first step is"
        " sqrt(epsilon/(1 - rho)) long whatever the gradient, and with epsilon 0 it never starts.",
    ),
    conventions={
        "torch": "Adadelta: the same rule; rate 1, decay 0.9, epsilon 1e-6",
        "keras": "Adadelta: the same rule; rate 0.001, decay 0.95, epsilon 1e-7: it hardly moves",
        "optax": "adadelta: the same rule; decay 0.9, epsilon 1e-6; without a rate its default climbs, for the sign"
        " comes with the rate",
        "S1": "decay 0.9",
        "paper": "no rate, which is 1 here; decay 0.95, epsilon 1e-6",
    },
    see_also=("rmsprop", "adagrad"),
    symbols={"eps_root": "epsilon", "eps": "delta"},
)
@_cache.constructor
def adadelta(
    learning_rate: ScalarOrSchedule = 1.0,
    *,
    rho: Scalar = 0.95,
    eps: Scalar = 0.0,
    eps_root: Scalar = 1e-6,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Adadelta: RMSprop whose rate is the root mean square of the steps before, so that units agree.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``, on top of the step's own size.
      rho: 0 ≤ ρ < 1, decay of both means.
      eps: ≥ 0, added to both roots.
      eps_root: ≥ 0, added inside both roots. It is what starts the method: where both are 0, nothing moves.
      state_dtype: the means are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``AdadeltaState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    return elementwise(_adadelta(rho, eps, eps_root, sign=-1), AdadeltaState, learning_rate, state_dtype=state_dtype)


@_cache.constructor
def scale_by_adadelta(
    *, rho: Scalar = 0.95, eps: Scalar = 0.0, eps_root: Scalar = 1e-6, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Adadelta's step √(d + eps_root)/√(v + eps_root)·g, along the gradient and without a rate, to be chained.

    Args, Raises: as ``adadelta``.

    Returns:
      The transformation; its state is a ``ScaleByAdadeltaState``.
    """
    return elementwise(_adadelta(rho, eps, eps_root, sign=1), ScaleByAdadeltaState, state_dtype=state_dtype)


def _adadelta(rho, eps, eps_root, *, sign):
    rho = _check.scalar("rho", rho, low=0, below=1)
    eps, eps_root = _check.scalar("eps", eps, low=0), _check.scalar("eps_root", eps_root, low=0)

    def step(t, eta, dtype):
        decay, epsilon, root = (cast(x, dtype) for x in (rho, eps, eps_root))
        rate = sign * eta

        def rule(g, v, d):
            v = decay * v + (1 - decay) * (g * g)
            delta = divide((jnp.sqrt(d + root) + epsilon) * g, jnp.sqrt(v + root) + epsilon, root, epsilon)
            d = decay * d + (1 - decay) * (delta * delta)
            return rate * delta, v, d

        return rule

    return step
