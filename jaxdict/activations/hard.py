"""Straight lines between two ends: bounded ramps, what is gated by one, and the shrinkages.

At a kink the middle branch is the one that counts, ``-edge <= x <= edge``; relu6 is a ReLU, and saturates at both. The
branch is chosen by comparing ``x`` itself: compared after an addition, which rounds, the kink is one float too early.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._entry import entry


def _middle(x, edge, inside, outside):
    """``inside`` where abs(x) <= edge, else ``outside``; NaN at NaN."""
    return jnp.where(jnp.abs(x) <= edge, inside, jnp.where(jnp.isnan(x), jax.lax.stop_gradient(x), outside))


def _ramp(x, low, high, edge):
    """From ``low`` at ``-edge`` straight to ``high`` at ``edge``, and the partials by all four."""
    below, above = x < -edge, x > edge
    z = jnp.where(below | above, 0.0, x)  # not inf, which times 0 would be NaN; NaN itself stays
    # From the nearest of the three points where the ramp is known: the distance to it is exact, or nearly.
    central = jnp.abs(z) <= edge / 2
    start = jnp.where(central, low / 2 + high / 2, jnp.where(z < 0, low, high))
    away = jnp.where(central, z, jnp.where(z < 0, z + edge, z - edge))
    half = high / 2 - low / 2  # the difference itself may overflow
    inside = start + half * (away / edge)
    share = z / edge
    slope = half / edge
    return jnp.where(below, low, jnp.where(above, high, inside)), (
        _middle(x, edge, slope, 0.0),
        jnp.where(below, 1.0, jnp.where(above, 0.0, (1 - share) / 2)),
        jnp.where(below, 0.0, jnp.where(above, 1.0, (1 + share) / 2)),
        -slope * share,
    )


_bounded_core = closed_form(_ramp)(lambda x, minimum, maximum, alpha: _ramp(x, minimum, maximum, alpha)[0])


@entry(
    "activation",
    equation="max(a, min((b - a)/(2*alpha)*x + (b + a)/2, b))",
    derivative="cases(((b - a)/(2*alpha), abs(x) <= alpha), (0, True))",
    aliases=("bounded ramp", "piecewise linear ramp"),
    sources=("S0 4.9",),
    errata=(
        "S0 4.9 prints the derivative as a_i, and as 1 for x > alpha, where it is 0.",
        "S0 4.9 says that a >= b works too: for a > b its max and min give a everywhere, its cases a falling ramp.",
    ),
    conventions={
        "torch": "Hardtanh(min_val, max_val) is x clipped to the two: this family where min_val = -max_val only",
        "keras": "none",
        "jax": "none; jnp.clip is x clipped to the two",
    },
    see_also=("hard_tanh", "hard_sigmoid", "relu6"),
    symbols={"minimum": "a", "maximum": "b"},
)
def hard_bounded(
    x: jax.typing.ArrayLike,
    *,
    minimum: jax.typing.ArrayLike,
    maximum: jax.typing.ArrayLike,
    alpha: jax.typing.ArrayLike,
) -> jax.Array:
    """Bounded ramp: ``minimum`` below ``-alpha``, ``maximum`` above ``alpha``, a straight line between.

    Args:
      x: any shape, any real dtype; integers become the default float.
      minimum: the value at the left; differentiable, as are the two others.
      maximum: the value at the right, above ``minimum``.
      alpha: how far from 0 the ends are, above 0.

    Returns:
      Same shape and dtype as ``x``. The derivative at ``±alpha`` is that of the line.

    Raises:
      TypeError: complex input, or a bound that is not a number.
      ValueError: ``minimum >= maximum``, or ``alpha`` not above 0.
    """
    _check.number("minimum", minimum)
    _check.number("maximum", maximum)
    if not (_check.is_traced(minimum) or _check.is_traced(maximum)) and np.any(np.asarray(minimum) >= maximum):
        raise ValueError(f"minimum must be < maximum; got {minimum!r} and {maximum!r}")
    return _bounded_core(x, minimum, maximum, _check.number("alpha", alpha, above=0))


def _hard_tanh(x):
    return jnp.clip(x, -1, 1), (_middle(x, 1.0, 1.0, 0.0),)


@entry(
    "activation",
    equation="max(-1, min(x, 1))",
    derivative="cases((1, abs(x) <= 1), (0, True))",
    kinks={-1.0: (-1.0, 1.0), 1.0: (1.0, 1.0)},
    aliases=("clipped identity",),
    sources=("S0 4.9", "Collobert et al. 2011, arXiv:1103.0398"),
    errata=("S0 4.9 prints the derivative above 1 as 1, in its general form: it is 0.",),
    conventions={
        "torch": "min_val=-1, max_val=1, derivative 0 at -1 and 1",
        "keras": "the same as jax",
        "jax": "the same",
    },
    see_also=("tanh", "hard_bounded", "hard_sigmoid"),
)
@closed_form(_hard_tanh)
def hard_tanh(x: jax.typing.ArrayLike) -> jax.Array:
    """Hard tanh, ``x`` clipped to [-1, 1]: ``hard_bounded`` from -1 to 1 with ``alpha = 1``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative at -1 and 1 is 1.

    Raises:
      TypeError: complex input.
    """
    return jnp.clip(x, -1, 1)


def _hard_sigmoid(x, alpha):
    value = jnp.clip((x + alpha) / (2 * alpha), 0, 1)  # the sum is exact, or nearly, where the ramp begins
    by_alpha = jnp.where(jnp.abs(x) <= alpha, -x / (2 * alpha * alpha), 0.0)
    return value, (_middle(x, alpha, 0.5 / alpha, 0.0), by_alpha)


_hard_sigmoid_core = closed_form(_hard_sigmoid)(lambda x, alpha: _hard_sigmoid(x, alpha)[0])


@entry(
    "activation",
    equation="max(0, min(x/(2*alpha) + 0.5, 1))",
    derivative="cases((1/(2*alpha), abs(x) <= alpha), (0, True))",
    kinks={-2.0: (0.0, 0.25), 2.0: (1.0, 0.25)},
    aliases=("piecewise linear sigmoid",),
    sources=("S0 4.9", "Courbariaux, Bengio & David 2015, arXiv:1511.00363", "Howard et al. 2019, arXiv:1905.02244"),
    errata=("S0 4.9 prints the derivative above alpha as 1, in its general form: it is 0.",),
    conventions={
        "S0": "alpha = 2, the tangent of the sigmoid at 0",
        "torch": "alpha = 3, derivative 0 at -3 and 3, and 1/6 in float32 between, in float64 too",
        "keras": "alpha = 3; Keras 2 and before alpha = 2.5",
        "jax": "alpha = 3, by relu6(x + 3)/6, whose right kink is one float early; derivative 0 at -3 and 3",
        "Courbariaux 2015": "alpha = 1",
    },
    see_also=("sigmoid", "hard_bounded", "hard_swish"),
)
def hard_sigmoid(x: jax.typing.ArrayLike, alpha: jax.typing.ArrayLike = 2.0) -> jax.Array:
    """Hard sigmoid: 0 below ``-alpha``, 1 above ``alpha``, a straight line between.

    Args:
      x: any shape, any real dtype; integers become the default float.
      alpha: how far from 0 the ends are, above 0; differentiable. PyTorch, JAX and Keras 3 have 3, Keras 2 had 2.5.

    Returns:
      Same shape and dtype as ``x``. The derivative is ``1/(2 alpha)``, at ``±alpha`` too.

    Raises:
      TypeError: complex input, or an ``alpha`` that is not a number.
      ValueError: ``alpha`` not above 0.
    """
    return _hard_sigmoid_core(x, _check.number("alpha", alpha, above=0))


def _hard_swish(x):
    value = jnp.where(x < -3, 0.0, x * jnp.clip((x + 3) / 6, 0, 1))  # inf times a closed gate would be NaN
    return value, (jnp.where(x > 3, 1.0, jnp.where(x < -3, 0.0, (2 * x + 3) * (1 / 6))),)


@entry(
    "activation",
    equation="cases((0, x < -3), (x, x > 3), (x*(x + 3)/6, True))",
    derivative="cases((0, x < -3), (1, x > 3), ((2*x + 3)/6, True))",
    kinks={-3.0: (0.0, -0.5), 3.0: (3.0, 1.5)},
    aliases=("hard_silu", "h-swish"),
    sources=("Howard et al. 2019, arXiv:1905.02244",),
    conventions={
        "torch": "Hardswish, inf above 5.7e37 and NaN at -inf; derivative 0 at -3, 1 at 3",
        "keras": "hard_silu, the same as jax",
        "jax": "hard_silu, NaN at -inf; its right kink is one float early; derivative 0 at -3, 1 at 3",
    },
    see_also=("swish", "hard_sigmoid", "relu6"),
)
@closed_form(_hard_swish)
def hard_swish(x: jax.typing.ArrayLike) -> jax.Array:
    """Hard swish, ``x*hard_sigmoid(x, 3)``: 0 below -3, ``x`` above 3, a parabola between.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype; 0 at -inf. The derivative at -3 and 3 is that of the parabola, -1/2 and 3/2.

    Raises:
      TypeError: complex input.
    """
    return _hard_swish(x)[0]


def _relu6(x):
    inside = (x > 0) & (x < 6)
    return jnp.clip(x, 0, 6), (jnp.where(jnp.isnan(x), jax.lax.stop_gradient(x), jnp.where(inside, 1.0, 0.0)),)


@entry(
    "activation",
    equation="min(max(0, x), 6)",
    derivative="cases((1, 0 < x < 6), (0, True))",
    kinks={0.0: (0.0, 0.0), 6.0: (6.0, 0.0)},
    aliases=("relu capped at 6",),
    sources=("Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",),
    conventions={"torch": "the same, derivative 0 at 0 and 6", "keras": "the same", "jax": "the same"},
    see_also=("relu", "hard_bounded", "hard_swish"),
)
@closed_form(_relu6)
def relu6(x: jax.typing.ArrayLike) -> jax.Array:
    """ReLU that ends at 6, ``min(max(0, x), 6)``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative at 0 and at 6 is 0.

    Raises:
      TypeError: complex input.
    """
    return jnp.clip(x, 0, 6)


def _softshrink(x, threshold):
    return x - jnp.clip(x, -threshold, threshold), (
        _middle(x, threshold, 0.0, 1.0),
        _middle(x, threshold, 0.0, jnp.where(x > 0, -1.0, 1.0)),
    )


_softshrink_core = closed_form(_softshrink)(lambda x, threshold: _softshrink(x, threshold)[0])


@entry(
    "activation",
    equation="cases((x - lambda_, x > lambda_), (x + lambda_, x < -lambda_), (0, True))",
    derivative="cases((0, abs(x) <= lambda_), (1, True))",
    kinks={-0.5: (0.0, 0.0), 0.5: (0.0, 0.0)},
    aliases=("soft shrinkage", "soft thresholding", "soft threshold"),
    sources=("Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425",),
    conventions={
        "torch": "Softshrink(lambd=0.5), the same",
        "keras": "soft_shrink(threshold=0.5), the same, but 0 at NaN",
        "jax": "none",
    },
    see_also=("hardshrink", "penalty l1"),
    symbols={"threshold": "lambda_"},
)
def softshrink(x: jax.typing.ArrayLike, *, threshold: jax.typing.ArrayLike = 0.5) -> jax.Array:
    """Soft shrinkage: ``x`` moved towards 0 by ``threshold``, 0 where it is nearer than that.

    It is the step that minimizes half the squared distance to ``x`` plus ``threshold`` times the absolute value.

    Args:
      x: any shape, any real dtype; integers become the default float.
      threshold: how far to move, at least 0; differentiable.

    Returns:
      Same shape and dtype as ``x``. The derivative at ``±threshold`` is 0.

    Raises:
      TypeError: complex input, or a ``threshold`` that is not a number.
      ValueError: ``threshold`` below 0.
    """
    return _softshrink_core(x, _check.number("threshold", threshold, low=0))


def _hardshrink(x, threshold):
    return jnp.where(jnp.abs(x) <= threshold, 0.0, x), (_middle(x, threshold, 0.0, 1.0), None)


_hardshrink_core = closed_form(_hardshrink)(lambda x, threshold: _hardshrink(x, threshold)[0])


@entry(
    "activation",
    equation="cases((0, abs(x) <= lambda_), (x, True))",
    derivative="cases((0, abs(x) <= lambda_), (1, True))",
    kinks={-0.5: (0.0, 0.0), 0.5: (0.0, 0.0)},
    aliases=("hard shrinkage", "hard thresholding", "hard threshold"),
    sources=("Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425",),
    conventions={
        "torch": "Hardshrink(lambd=0.5), the same; a negative one is the identity",
        "keras": "hard_shrink(threshold=0.5), the same, but 0 at NaN",
        "jax": "none",
    },
    see_also=("softshrink",),
    symbols={"threshold": "lambda_"},
)
def hardshrink(x: jax.typing.ArrayLike, *, threshold: jax.typing.ArrayLike = 0.5) -> jax.Array:
    """Hard shrinkage: ``x``, but 0 where it is no farther from 0 than ``threshold``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      threshold: what counts as 0, at least 0. The derivative by it is 0, for it moves jumps only.

    Returns:
      Same shape and dtype as ``x``. At ``±threshold``, where it jumps, value and derivative are 0.

    Raises:
      TypeError: complex input, or a ``threshold`` that is not a number.
      ValueError: ``threshold`` below 0.
    """
    return _hardshrink_core(x, _check.number("threshold", threshold, low=0))


__all__ = ["hard_bounded", "hard_sigmoid", "hard_swish", "hard_tanh", "hardshrink", "relu6", "softshrink"]
