"""Rates of its own for every parameter: Adam, with and without bias correction."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule, cast, corrections, elementwise


class ScaleByAdamState(NamedTuple):
    """Memory of ``scale_by_adam``: decaying means of the gradient and of its square."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    m: Any
    v: Any


class AdamState(NamedTuple):
    """Memory of ``adam``: decaying means of the gradient and of its square."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    m: Any
    v: Any


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2;"
    " mhat = m/(1 - beta1**t); vhat = v/(1 - beta2**t);"
    " theta = theta - eta*mhat/(sqrt(vhat) + epsilon)",
    aliases=("adaptive moment estimation",),
    sources=("S0 6.7", "S1 1.6", "S2 11.3.5", "S3", "S4", "Kingma and Ba 2015, arXiv:1412.6980"),
    errata=(
        "S0 6.7 has epsilon inside the root; the paper adds it to the root of the corrected second moment.",
        "S0 6.7, S3 and S4 allow the decay rates in [0, 1]; at 1 the correction divides by 0: [0, 1).",
        "S1 1.6 says that the moments are biased when the decay rates are small; it is when they are near 1.",
        "S2 11.3.5: the last line lost its hats, and has epsilon inside the root.",
        "S3: epsilon inside the root on one page, outside on another; a handwritten page has g for the second moment"
        " and lost the power t; Algorithm 8.7 keeps the moments in the corrected ones, so that they stay 0.",
        "S4: the text's beta2 is 0.999, the code's 0.99. Without correction, as S4 first has it, steps reach 6.57 and"
        " 2.1 times the rate.",
    ),
    conventions={
        "torch": "Adam: the same rule and epsilon, 1e-8; its weight_decay is L2 in the gradient",
        "keras": "Adam: epsilon 1e-7 is added to the root of the uncorrected moment, as if epsilon/sqrt(1 - beta2**t)"
        " here; its weight_decay is decoupled",
        "optax": "adam: the same rule and names",
        "S0": "rate 0.001, b1 0.9, b2 0.999 (there alpha and beta), epsilon 1e-8",
        "S3": "rate 0.001, b1 0.9, b2 0.999, epsilon 1e-8 (there delta)",
        "S4": "epsilon 1e-7, with and without bias correction; b2 0.999 in the text, 0.99 in the code",
    },
    see_also=("adam_uncorrected", "adamax", "amsgrad", "nadam", "momentum", "rmsprop"),
)
@_cache.constructor
def adam(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    bias_correction: bool = True,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam: the decaying mean of the gradient over the root of the decaying mean of its square.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      b1: 0 ≤ β₁ < 1, decay of the mean.
      b2: 0 ≤ β₂ < 1, decay of the mean of squares.
      eps: ≥ 0, added to the root.
      eps_root: ≥ 0, added inside the root; above 0 for derivatives through the optimizer at gradients of 0.
      bias_correction: divide the moments by 1 - βᵗ; False is ``adam_uncorrected``.
      state_dtype: the moments are stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is an ``AdamState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    step = _adam(b1, b2, eps, eps_root, bias_correction, sign=-1)
    return elementwise(step, AdamState, learning_rate, state_dtype=state_dtype)


@entry(
    "optimizer",
    equation="m = beta1*m + (1 - beta1)*g; v = beta2*v + (1 - beta2)*g**2; theta = theta - eta*m/(sqrt(v) + epsilon)",
    aliases=("adam without bias correction", "uncorrected adam"),
    sources=("S2 11.3.5", "S4"),
    errata=(
        "S2 11.3.5 means Adam, and prints this in its last line, where the hats of both moments are lost.",
        "S4 brings it first, for intuition, with beta2 0.999: its first steps reach 6.57 times the rate, and 2.1 times"
        " at the 0.99 of the code.",
        "S4 allows the decay rates in [0, 1]; at 1 a moment stays 0: [0, 1).",
    ),
    conventions={
        "torch": "none",
        "keras": "none",
        "optax": "none for adam; scale_by_amsgrad has bias_correction_mu and bias_correction_nu",
        "S4": "b1 0.9, b2 0.999, epsilon 1e-7 outside the root (there nu)",
    },
    see_also=("adam", "rmsprop"),
)
@_cache.constructor
def adam_uncorrected(
    learning_rate: ScalarOrSchedule = 1e-3,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam with its moments as they are: the first step is (1 - β₁)/√(1 - β₂) rates long, the next ones still longer.

    The same as ``adam(bias_correction=False)``.

    Args, Raises: as ``adam``.

    Returns:
      The transformation; its state is an ``AdamState``.
    """
    step = _adam(b1, b2, eps, eps_root, False, sign=-1)
    return elementwise(step, AdamState, learning_rate, state_dtype=state_dtype)


@_cache.constructor
def scale_by_adam(
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    bias_correction: bool = True,
    state_dtype: Any = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction m̂/(√(v̂ + eps_root) + eps), along the gradient and without a rate, to be chained.

    Args, Raises: as ``adam``.

    Returns:
      The transformation; its state is a ``ScaleByAdamState``.
    """
    step = _adam(b1, b2, eps, eps_root, bias_correction, sign=1)
    return elementwise(step, ScaleByAdamState, state_dtype=state_dtype)


def _adam(b1, b2, eps, eps_root, bias_correction, *, sign):
    b1 = _check.scalar("b1", b1, low=0, below=1)
    b2 = _check.scalar("b2", b2, low=0, below=1)
    eps = _check.scalar("eps", eps, low=0)
    eps_root = _check.scalar("eps_root", eps_root, low=0)
    _check.one_of("bias_correction", bias_correction, (True, False))

    def step(t, eta, dtype):
        beta1, beta2, epsilon, root = (cast(x, dtype) for x in (b1, b2, eps, eps_root))
        # The corrections and the rate meet in scalars: an element costs one root and one division.
        rate, grow = sign * eta, 1.0
        if bias_correction:
            rate, grow = corrections((rate, grow), (beta1, beta2), t, dtype)

        def rule(g, m, v):
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * (g * g)
            return rate * m / (jnp.sqrt(v * grow + root) + epsilon), m, v

        return rule

    return step
