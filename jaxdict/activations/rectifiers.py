"""Linear above 0, and linear or constant below; the identity besides.

Their one kink is at 0, where all are of the branch ``x <= 0``, but for the step, which is 1 there.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict._derivative import closed_form
from jaxdict._draws import in_a_row
from jaxdict._entry import entry


def _sides(x, above, below):
    """``above`` where x > 0, ``below`` where x <= 0, NaN at NaN."""
    return jnp.where(x > 0, above, jnp.where(x <= 0, below, jax.lax.stop_gradient(x)))


def _linear(x):
    return x, (jnp.ones_like(x),)


@entry(
    "activation",
    equation="x",
    derivative="1",
    aliases=("identity",),
    sources=("S0 4.1",),
    errata=(
        "S0 4 says that activations are there to limit the range: six of its eleven do not. They are there to be "
        "non-linear, which this one is not.",
    ),
    conventions={"torch": "nn.Identity", "keras": "linear", "jax": "jax.nn.identity"},
    see_also=("relu",),
)
@closed_form(_linear)
def linear(x: jax.typing.ArrayLike) -> jax.Array:
    """The identity, ``x``: a layer without a non-linearity.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype.

    Raises:
      TypeError: complex input.
    """
    return jnp.asarray(x)


def _relu(x):
    return jnp.maximum(x, 0), (_sides(x, 1.0, 0.0),)


@entry(
    "activation",
    equation="max(0, x)",
    derivative="cases((1, x > 0), (0, True))",
    kinks={0.0: (0.0, 0.0)},
    aliases=("rectified linear unit", "rectifier", "ramp"),
    sources=("S0 4.2", "S2 11.1.2", "S3"),
    errata=(
        "S0 4.2 writes the derivative as a_i; it is 1 or 0.",
        "S3 says that dead neurons cannot be revived: so under plain SGD in the first layer only.",
    ),
    conventions={"torch": "the same, derivative 0 at 0", "keras": "the same", "jax": "the same"},
    see_also=("leaky_relu", "relu6", "elu", "softplus"),
)
@closed_form(_relu)
def relu(x: jax.typing.ArrayLike) -> jax.Array:
    """Rectified linear unit, ``max(0, x)``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative at 0 is 0.

    Raises:
      TypeError: complex input.
    """
    return jnp.maximum(x, 0)


def _below(x, slope):
    """``slope*x``, 0 where a slope of 0 meets -inf."""
    return jnp.where((slope == 0) & (x == -jnp.inf), 0.0, slope * x)


def _leaky_relu(x, slope):
    return jnp.where(x > 0, x, _below(x, slope)), (_sides(x, 1.0, slope), jnp.where(x > 0, 0.0, x))


@entry(
    "activation",
    equation="cases((x, x > 0), (alpha*x, True))",
    derivative="cases((1, x > 0), (alpha, True))",
    kinks={0.0: (0.0, 0.01)},
    aliases=("lrelu", "leaky rectified linear unit"),
    sources=("S0 4.3", "S2 11.1.2", "S3", "Maas, Hannun & Ng 2013, ICML workshop on audio, speech and language"),
    errata=("S2 11.1.2 gives the default slope as 0.3: that is one framework's layer; others have 0.01 and 0.2.",),
    conventions={
        "S0": "0.01 to begin with",
        "S2": "0.3, Keras's layer; about 0.2 was found better than 0.01",
        "S3": "small, as 0.01",
        "torch": "negative_slope=0.01, derivative 0.01 at 0",
        "keras": "activations.leaky_relu has 0.2, the LeakyReLU layer 0.3",
        "jax": "negative_slope=0.01, but the derivative at 0 is 1",
    },
    see_also=("relu", "prelu", "rrelu", "elu"),
    symbols={"negative_slope": "alpha"},
)
@closed_form(_leaky_relu)
def leaky_relu(x: jax.typing.ArrayLike, negative_slope: jax.typing.ArrayLike = 0.01) -> jax.Array:
    """Leaky rectified linear unit: ``x`` where ``x > 0``, else ``negative_slope*x``.

    Args:
      x: any shape, any real dtype; integers become the default float.
      negative_slope: the slope below 0; differentiable.

    Returns:
      Same shape and dtype as ``x``. The derivative at 0 is ``negative_slope``.

    Raises:
      TypeError: complex input.
      ValueError: a ``negative_slope`` that is neither a scalar nor of the rank of ``x``.
    """
    return _leaky_relu(x, negative_slope)[0]


_sloped = closed_form(_leaky_relu)(lambda x, alpha: _leaky_relu(x, alpha)[0])


@entry(
    "activation",
    equation="cases((x, x > 0), (alpha*x, True))",
    derivative="cases((1, x > 0), (alpha, True))",
    aliases=("parametric relu", "parametric rectified linear unit"),
    sources=("S0 4.4", "S2 11.1.2", "S3", "He et al. 2015, arXiv:1502.01852"),
    errata=(
        "S0 4.4 asks for a start other than 0: it is not needed, for the derivative by alpha is x there.",
        "S2 11.1.2 calls alpha a hyperparameter: it is learned.",
    ),
    conventions={
        "torch": "PReLU starts at 0.25 with one shared slope, or one a channel, which is axis 1",
        "keras": "starts at 0 with one slope an element of the input, unless axes are shared; the derivative at 0 is 0",
        "flax": "PReLU starts at 0.01, one shared slope",
        "He et al. 2015": "starts at 0.25, without weight decay on alpha",
    },
    see_also=("leaky_relu", "rrelu", "absolute"),
)
def prelu(x: jax.typing.ArrayLike, alpha: jax.typing.ArrayLike) -> jax.Array:
    """Parametric rectified linear unit: ``x`` where ``x > 0``, else ``alpha*x`` with a learned ``alpha``.

    Args:
      x: ``(..., n)`` or a scalar, any real dtype; integers become the default float.
      alpha: the slope below 0, shape ``()`` or one a channel, ``(n,)``; any value, 0 included.

    Returns:
      Same shape and dtype as ``x``. The derivative at 0 is ``alpha``; that by ``alpha`` is ``x`` where ``x <= 0``, else
      0, and the gradient has the shape of ``alpha``.

    Raises:
      TypeError: complex input.
      ValueError: ``alpha`` of another shape.
    """
    x, alpha = _check.floating(x), _check.floating(alpha, name="alpha")
    if alpha.ndim and alpha.shape != x.shape[-1:]:
        allowed = f"() or {x.shape[-1:]}, the channels of x" if x.ndim else "(), as x is a scalar"
        raise ValueError(f"alpha must have shape {allowed}; got {alpha.shape}")
    return _sloped(x, jnp.expand_dims(alpha, tuple(range(x.ndim - alpha.ndim))) if alpha.ndim else alpha)


@entry(
    "activation",
    equation="cases((x, x > 0), ((l + u)/2*x, True))",
    derivative="cases((1, x > 0), ((l + u)/2, True))",
    kinks={0.0: (0.0, 11 / 48)},
    aliases=("randomized leaky relu", "randomized relu", "randomized leaky rectified linear unit"),
    sources=("S2 11.1.2", "Xu et al. 2015, arXiv:1505.00853"),
    conventions={
        "Xu et al. 2015": "divides by a drawn from U(3, 8), at test time by 5.5: draw='divisor'",
        "torch": "the slope itself is drawn from U(1/8, 1/3) when training, which is off by default",
        "keras": "none",
        "jax": "none",
    },
    see_also=("leaky_relu", "prelu"),
    symbols={"lower": "l", "upper": "u"},
)
def rrelu(
    x: jax.typing.ArrayLike,
    *,
    key: jax.Array | int | None = None,
    lower: jax.typing.ArrayLike = 1 / 8,
    upper: jax.typing.ArrayLike = 1 / 3,
    draw: Literal["slope", "divisor"] = "slope",
) -> jax.Array:
    """Randomized leaky ReLU: ``x`` where ``x > 0``, else ``x`` times a slope that every element draws for itself.

    Args:
      x: any shape, any real dtype; integers become the default float.
      key: a PRNG key or an int seed, for training; None for the slope of the mean draw, 11/48, at test time.
      lower: smallest slope; differentiable.
      upper: largest slope; differentiable.
      draw: "slope" draws it from U(lower, upper). "divisor", the paper's form, divides by a draw from
        U(1/upper, 1/lower), which is U(3, 8), and has slope 2/11 at test time.

    Returns:
      Same shape and dtype as ``x``. The derivative at 0 is the slope.

    Raises:
      TypeError: complex input, a bound that is not a number, or something else than a key.
      ValueError: ``lower > upper``, not above 0 for "divisor", not a scalar; another ``draw``.
    """
    _check.one_of("draw", draw, ("slope", "divisor"))
    x = _check.floating(x)
    dtype = _check.compute_dtype(x.dtype)
    least = {"above": 0} if draw == "divisor" else {}
    for name, bound in (("lower", lower), ("upper", upper)):
        if jnp.ndim(_check.number(name, bound, **least)):
            raise ValueError(f"{name} must be a scalar; got shape {jnp.shape(bound)}")
    if not (_check.is_traced(lower) or _check.is_traced(upper)) and np.asarray(lower) > upper:
        raise ValueError(f"lower must be <= upper; got {lower!r} and {upper!r}")
    ends = jnp.asarray(lower, dtype), jnp.asarray(upper, dtype)
    low, high = ends if draw == "slope" else (1 / ends[1], 1 / ends[0])
    if key is None:
        drawn = (low + high) / 2
    else:
        given = _check.prng_key(key)
        drawn = low + (high - low) * in_a_row(lambda n: jax.random.uniform(given, n, dtype), x.shape)
    return _sloped(x, drawn if draw == "slope" else 1 / drawn)


def _absolute(x):
    # The formula, for XLA compiles abs by itself to a loop of a third of the speed on the CPU.
    return jnp.maximum(x, 0) - jnp.minimum(x, 0), (jnp.sign(x),)


@entry(
    "activation",
    equation="abs(x)",
    derivative="sign(x)",
    kinks={0.0: (0.0, 0.0)},
    aliases=("absolute value rectification", "absolute value", "abs"),
    sources=("S3", "Jarrett et al. 2009, doi:10.1109/ICCV.2009.5459469"),
    conventions={"torch": "abs, derivative 0 at 0", "keras": "ops.abs", "jax": "abs, but its derivative at 0 is 1"},
    see_also=("relu", "prelu"),
)
@closed_form(_absolute)
def absolute(x: jax.typing.ArrayLike) -> jax.Array:
    """Absolute value rectification, ``|x| = max(0, x) - min(0, x)``: a PReLU with ``alpha = -1``.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype. The derivative is the sign, 0 at 0.

    Raises:
      TypeError: complex input.
    """
    return _absolute(x)[0]


def _step(x):
    return _sides(x, 1.0, jnp.where(x < 0, 0.0, 1.0)), (_sides(x, 0.0, 0.0),)


@entry(
    "activation",
    equation="cases((1, x >= 0), (0, True))",
    derivative="0",
    kinks={0.0: (1.0, 0.0)},
    aliases=("heaviside", "unit step", "threshold", "threshold logic unit"),
    sources=("S2 10.1.3", "McCulloch & Pitts 1943, doi:10.1007/BF02478259", "Rosenblatt 1958, doi:10.1037/h0042519"),
    errata=(
        "S2 10.1.3 calls the inputs and the output of a threshold unit real numbers: its output is 0 or 1. What it is "
        "at 0 is not said; here 1.",
    ),
    conventions={
        "torch": "heaviside asks for the value at 0, gives a number for NaN, and has no derivative",
        "keras": "none; activations.threshold is x above a threshold and a constant below, another function",
        "jax": "jnp.heaviside asks for the value at 0",
    },
    see_also=("sigmoid", "relu"),
)
@closed_form(_step)
def step(x: jax.typing.ArrayLike) -> jax.Array:
    """Unit step: 1 where ``x >= 0``, else 0. The output of a perceptron.

    Args:
      x: any shape, any real dtype; integers become the default float.

    Returns:
      Same shape and dtype; 1 at 0. The derivative is 0 everywhere, so gradient descent learns nothing through it.

    Raises:
      TypeError: complex input.
    """
    return _step(x)[0]


__all__ = ["absolute", "leaky_relu", "linear", "prelu", "relu", "rrelu", "step"]
