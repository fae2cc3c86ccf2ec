"""Every activation and elementwise loss beside its peers, and its exact value and derivative.

References are ball arithmetic (Arb) at 256 bits: what they print is proven to ``reference_digits``. They are written
naively wherever ball arithmetic allows it, so that they share no idea with the code that they judge.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flint import arb, ctx

import jaxdict as jd

ctx.prec = 256
FLOAT_MAX = float(np.finfo(np.float32).max)

Reference = Callable[[arb], tuple[arb, arb]]


@dataclasses.dataclass(frozen=True)
class Formula:
    """One function of one variable: ours, the peers', and the truth.

    ``ours`` and ``in_jax`` map arrays; ``in_torch`` takes ``(torch.nn.functional, tensor)`` and ``in_keras`` the
    package and an array. ``roots`` are where the derivative crosses 0; ``domain`` is where arguments are compared;
    ``reached`` is the largest error in value and derivative that is allowed, in units in the last place (None: the
    best peer's and 0.5).
    """

    name: str
    kind: str
    reference: Reference
    ours: Callable[[jax.Array], jax.Array]
    in_jax: Callable[[jax.Array], jax.Array] | None = None
    in_torch: Callable[[Any, Any], Any] | None = None
    in_keras: Callable[[Any, Any], Any] | None = None
    roots: tuple[float, ...] = ()
    kinks: tuple[float, ...] = ()  # where the derivative is a convention, and not compared
    domain: tuple[float, float] = (-FLOAT_MAX, FLOAT_MAX)
    reached: tuple[float, float] | None = None
    roots_counted: bool = False  # whether `reached` holds at the roots too
    tail: float | None = None  # below it results are exempt

    @property
    def unbounded(self) -> bool:
        """Whether all numbers are arguments, the infinite ones too."""
        return self.domain[0] == -FLOAT_MAX


# ------------------------------------------------------------------------------------------------ exact references

ZERO, ONE, INFINITY = arb(0), arb(1), arb("inf")


def sigma(x):
    return 1 / (1 + (-x).exp())


def piecewise(*branches):
    """``(condition, x -> (value, derivative))`` pairs, the first that holds."""

    def reference(x):
        return next(branch(x) for holds, branch in branches if holds(x))

    return reference


def above(at):
    return lambda x: x > at


def constant(value):
    return lambda x: (arb(value), ZERO)


def line(slope, offset=0):
    slope, offset = arb(slope), arb(offset)
    return lambda x: (slope * x + offset, slope)


def always(x):
    return True


IDENTITY = line(1)
SELU_SCALE = "1.0507009873554804934193349852946"
SELU_ALPHA = "1.6732632423543772848170429916717"


def exponential_left(alpha, *, scale="1", width="1"):
    """elu and its kin: scale*x to the right of 0, scale*alpha*(exp(x/width) - 1) to the left."""
    alpha, scale, width = arb(alpha), arb(scale), arb(width)

    def left(x):
        z = x / width
        return scale * alpha * z.expm1(), scale * alpha / width * z.exp()

    return piecewise((above(0), line(scale)), (always, left))


def softplus_reference(x):
    return x.exp().log1p(), sigma(x)


def sigmoid_reference(x):
    y = sigma(x)
    return y, y * sigma(-x)


def tanh_reference(x):
    return x.tanh(), x.cosh() ** -2


def softsign_reference(x):
    s = 1 + abs(x)
    return x / s, 1 / (s * s)


def swish_reference(x):
    s = sigma(x)
    return x * s, s + x * s * sigma(-x)


def mish_reference(x):
    t, inner = softplus_reference(x)[0].tanh(), sigma(x)
    return x * t, t + x * inner * softplus_reference(x)[0].cosh() ** -2


def gelu_reference(x):
    cdf = (-x / arb(2).sqrt()).erfc() / 2
    return x * cdf, cdf + x * (-x * x / 2).exp() / (2 * arb.pi()).sqrt()


def gelu_tanh_reference(x):
    if abs(x) > 1e6:
        return (x, ONE) if x > 0 else (ZERO, ZERO)  # to ten thousand million digits
    c = 2 * (2 / arb.pi()).sqrt()
    cubic = arb("0.044715")
    s, s_minus = sigma(c * (x + cubic * x**3)), sigma(-c * (x + cubic * x**3))
    return x * s, s + x * s * s_minus * c * (1 + 3 * cubic * x * x)


def squareplus_reference(x):
    root = (x * x + 4).sqrt()
    y = (root + x) / 2 if x > 0 else 2 / (root - x)
    return y, y / root


def tanhshrink_reference(x):
    old, ctx.prec = ctx.prec, 640  # x - tanh(x) is x^3/3 near 0
    try:
        return x - x.tanh(), x.tanh() ** 2
    finally:
        ctx.prec = old


def log_cosh_reference(x):
    return (2 * (x / 2).sinh() ** 2).log1p(), x.tanh()


def hard_swish_reference(x):
    if abs(x) > 3:
        return (x, ONE) if x > 0 else (ZERO, ZERO)
    return x * (x + 3) / 6, (2 * x + 3) / 6


def bce_with_logits(y):
    y = arb(y)

    def reference(x):
        if y == 1:
            return softplus_reference(-x)[0], -sigma(-x)
        return softplus_reference(x)[0] - x * y, sigma(x) - y

    return reference


def quadratic(x):
    return x * x / 2, x


def huber_reference(x):
    return piecewise((lambda x: abs(x) <= 1, quadratic), (above(0), line(1, -0.5)), (always, line(-1, -0.5)))(x)


def squared_hinge_reference(x):
    m = 1 - x
    return (m * m, -2 * m) if m > 0 else (ZERO, ZERO)


def ramp(low, high, slope, offset, bottom, top):
    """``slope*x + offset`` between ``low`` and ``high``, constant outside; at the ends the ramp's slope."""
    return piecewise(
        (lambda x: x < low, constant(bottom)), (lambda x: x > high, constant(top)), (always, line(slope, offset))
    )


# ----------------------------------------------------------------------------------------------------- the formulas


def elementwise(loss, target, **options):
    """A loss of one prediction, its target fixed."""

    def of(x):
        return loss(x, jnp.full_like(x, target), axis=None, **options)

    return of


def _activations():
    a = jd.activations
    third = arb(1) / 6
    return [
        Formula("linear", "activation", IDENTITY, a.linear, lambda x: x),
        Formula("step", "activation", piecewise((lambda x: x >= 0, constant(1)), (always, constant(0))), a.step,
                lambda x: jnp.heaviside(x, 1.0)),
        Formula("relu", "activation", piecewise((above(0), IDENTITY), (always, constant(0))), a.relu, jax.nn.relu,
                lambda f, x: f.relu(x), lambda k, x: k.activations.relu(x),
                kinks=(0.0,)),
        Formula("leaky_relu", "activation", piecewise((above(0), IDENTITY), (always, line("0.01"))), a.leaky_relu,
                jax.nn.leaky_relu, lambda f, x: f.leaky_relu(x), lambda k, x: k.activations.leaky_relu(x, 0.01),
                kinks=(0.0,)),
        Formula("prelu, 0.25", "activation", piecewise((above(0), IDENTITY), (always, line("0.25"))),
                lambda x: a.prelu(x, 0.25), None, lambda f, x: f.prelu(x, x.new_full((1,), 0.25)),
                lambda k, x: k.activations.relu(x) - 0.25 * k.activations.relu(-x),
                kinks=(0.0,)),
        Formula("rrelu, mean", "activation", piecewise((above(0), IDENTITY), (always, line(arb(11) / 48))),
                a.rrelu, None, lambda f, x: f.rrelu(x),
                kinks=(0.0,)),
        Formula("absolute", "activation", piecewise((above(0), IDENTITY), (lambda x: x == 0, constant(0)),
                                                    (always, line(-1))), a.absolute, jnp.abs,
                kinks=(0.0,)),
        Formula("elu", "activation", exponential_left(1), a.elu, jax.nn.elu, lambda f, x: f.elu(x),
                lambda k, x: k.activations.elu(x), reached=(0.94, 1.0)),
        Formula("selu", "activation", exponential_left(SELU_ALPHA, scale=SELU_SCALE), a.selu, jax.nn.selu,
                lambda f, x: f.selu(x), lambda k, x: k.activations.selu(x), reached=(2.0, 1.8),
                kinks=(0.0,)),
        Formula("celu", "activation", exponential_left(1), a.celu, jax.nn.celu, lambda f, x: f.celu(x),
                lambda k, x: k.activations.celu(x), reached=(0.94, 1.0)),
        Formula("celu, 0.75", "activation", exponential_left("0.75", width="0.75"), lambda x: a.celu(x, alpha=0.75),
                lambda x: jax.nn.celu(x, 0.75), lambda f, x: f.celu(x, 0.75),
                lambda k, x: k.activations.celu(x, 0.75)),
        Formula("softplus", "activation", softplus_reference, a.softplus, jax.nn.softplus,
                lambda f, x: f.softplus(x), lambda k, x: k.activations.softplus(x), reached=(2.0, 2.3)),
        Formula("log_sigmoid", "activation", lambda x: (-softplus_reference(-x)[0], sigma(-x)), a.log_sigmoid,
                jax.nn.log_sigmoid, lambda f, x: f.logsigmoid(x), lambda k, x: k.activations.log_sigmoid(x),
                reached=(2.0, 2.3)),
        Formula("tanh", "activation", tanh_reference, a.tanh, jnp.tanh, lambda f, x: f.tanh(x),
                lambda k, x: k.activations.tanh(x), reached=(2.5, 2.7)),
        Formula("sigmoid", "activation", sigmoid_reference, a.sigmoid, jax.nn.sigmoid, lambda f, x: f.sigmoid(x),
                lambda k, x: k.activations.sigmoid(x), reached=(2.5, 2.8)),
        Formula("hard_tanh", "activation", ramp(-1, 1, 1, 0, -1, 1), a.hard_tanh, jax.nn.hard_tanh,
                lambda f, x: f.hardtanh(x), lambda k, x: k.activations.hard_tanh(x),
                kinks=(-1.0, 1.0)),
        Formula("hard_sigmoid, 3", "activation", ramp(-3, 3, third, 0.5, 0, 1), lambda x: a.hard_sigmoid(x, alpha=3.0),
                jax.nn.hard_sigmoid, lambda f, x: f.hardsigmoid(x), lambda k, x: k.activations.hard_sigmoid(x),
                kinks=(-3.0, 3.0)),
        Formula("hard_sigmoid", "activation", ramp(-2, 2, 0.25, 0.5, 0, 1), a.hard_sigmoid,
                kinks=(-2.0, 2.0)),
        Formula("softsign", "activation", softsign_reference, a.softsign, jax.nn.soft_sign,
                lambda f, x: f.softsign(x), lambda k, x: k.activations.softsign(x), reached=(1.5, 3.5)),
        Formula("swish", "activation", swish_reference, a.swish, jax.nn.silu, lambda f, x: f.silu(x),
                lambda k, x: k.activations.silu(x), roots=(-1.2784645427610738,),
                reached=(2.8, 4.2), roots_counted=True),
        Formula("mish", "activation", mish_reference, a.mish, jax.nn.mish, lambda f, x: f.mish(x),
                lambda k, x: k.activations.mish(x), roots=(-1.1924487350090107,),
                reached=(4.4, 6.4)),
        Formula("gelu", "activation", gelu_reference, a.gelu, lambda x: jax.nn.gelu(x, approximate=False),
                lambda f, x: f.gelu(x), lambda k, x: k.activations.gelu(x, approximate=False),
                roots=(-0.7517915246935645,), reached=(4.9, 4.4), roots_counted=True),
        Formula("gelu, tanh form", "activation", gelu_tanh_reference, lambda x: a.gelu(x, approximate=True),
                jax.nn.gelu, lambda f, x: f.gelu(x, approximate="tanh"),
                lambda k, x: k.activations.gelu(x, approximate=True), roots=(-0.7524614220710162,),
                reached=(207.0, 207.0), tail=-10.0),
        Formula("hard_swish", "activation", hard_swish_reference, a.hard_swish, jax.nn.hard_swish,
                lambda f, x: f.hardswish(x), lambda k, x: k.activations.hard_silu(x), roots=(-1.5,),
                kinks=(-3.0, 3.0)),
        Formula("relu6", "activation", piecewise((lambda x: x <= 0, constant(0)), (above(6), constant(6)),
                                                 (always, IDENTITY)), a.relu6, jax.nn.relu6,
                lambda f, x: f.relu6(x), lambda k, x: k.activations.relu6(x),
                kinks=(0.0, 6.0)),
        Formula("squareplus", "activation", squareplus_reference, a.squareplus, jax.nn.squareplus,
                None, lambda k, x: k.activations.squareplus(x)),
        Formula("softshrink", "activation", piecewise((above(0.5), line(1, -0.5)), (lambda x: x < -0.5, line(1, 0.5)),
                                                      (always, constant(0))), a.softshrink, None,
                lambda f, x: f.softshrink(x), lambda k, x: k.activations.soft_shrink(x),
                kinks=(-0.5, 0.5)),
        Formula("hardshrink", "activation", piecewise((lambda x: abs(x) > 0.5, IDENTITY), (always, constant(0))),
                a.hardshrink, None, lambda f, x: f.hardshrink(x), lambda k, x: k.activations.hard_shrink(x),
                kinks=(-0.5, 0.5)),
        Formula("tanhshrink", "activation", tanhshrink_reference, a.tanhshrink, None,
                lambda f, x: f.tanhshrink(x), lambda k, x: k.activations.tanh_shrink(x)),
    ]  # fmt: skip


def _losses():
    s = jd.losses

    def bce(y):
        return Formula(
            f"sigmoid_cross_entropy, y = {y}", "loss", bce_with_logits(y), elementwise(s.sigmoid_cross_entropy, y),
            lambda x: optax.sigmoid_binary_cross_entropy(x, jnp.full_like(x, y)),
            lambda f, x: f.binary_cross_entropy_with_logits(x, x.new_full(x.shape, y), reduction="none"),
            lambda k, x: k.ops.binary_crossentropy(k.ops.full_like(x, y), x, from_logits=True),
            roots=(float(np.log(y / (1 - y))),) if 0 < y < 1 else (),
            reached=(2.1, 2.4) if y in (0, 1) else None,
        )  # fmt: skip

    def probability(y, reference):
        return Formula(
            f"binary_cross_entropy, y = {y}", "loss", reference, elementwise(s.binary_cross_entropy, y), None,
            lambda f, x: f.binary_cross_entropy(x, x.new_full(x.shape, y), reduction="none"),
            lambda k, x: k.ops.binary_crossentropy(k.ops.full_like(x, y), x), domain=(0.0, 1.0),
        )  # fmt: skip

    return [
        Formula("l1", "loss", piecewise((above(0), IDENTITY), (lambda x: x == 0, constant(0)), (always, line(-1))),
                elementwise(s.l1, 0.0), jnp.abs, lambda f, x: f.l1_loss(x, x.new_zeros(x.shape), reduction="none"),
                kinks=(0.0,)),
        Formula("l2", "loss", quadratic, elementwise(s.l2, 0.0), optax.l2_loss),
        Formula("huber", "loss", huber_reference, elementwise(s.huber, 0.0), optax.huber_loss,
                lambda f, x: f.huber_loss(x, x.new_zeros(x.shape), reduction="none"),
                lambda k, x: k.losses.Huber(reduction=None)(x[:, None] * 0, x[:, None]), reached=(0.5, 0.0)),
        Formula("log_cosh", "loss", log_cosh_reference, elementwise(s.log_cosh, 0.0), optax.log_cosh, None,
                lambda k, x: k.losses.log_cosh(x[:, None] * 0, x[:, None]), reached=(1.9, 1.5)),
        bce(0.0), bce(1.0), bce(0.25),
        Formula("hinge, y = 1", "loss", piecewise((lambda x: x < 1, line(-1, 1)), (always, constant(0))),
                elementwise(s.hinge, 1.0), lambda x: optax.hinge_loss(x, jnp.ones_like(x)), None,
                lambda k, x: k.losses.hinge(k.ops.ones_like(x)[:, None], x[:, None]),
                kinks=(1.0,)),
        Formula("squared_hinge, y = 1", "loss", squared_hinge_reference, elementwise(s.squared_hinge, 1.0), None, None,
                lambda k, x: k.losses.squared_hinge(k.ops.ones_like(x)[:, None], x[:, None])),
        probability(1.0, lambda p: (-p.log(), -1 / p) if p > 0 else (INFINITY, -INFINITY)),
        probability(0.0, lambda p: (-(-p).log1p(), 1 / (1 - p)) if p < 1 else (INFINITY, INFINITY)),
    ]  # fmt: skip


def formulas() -> list[Formula]:
    """All of them, activations first."""
    return _activations() + _losses()
