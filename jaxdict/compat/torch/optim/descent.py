"""Descent by the gradient or its sign: SGD, Rprop."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check
from jaxdict.compat.torch.optim._build import Scalar, ScalarOrSchedule, in_use, optimizer, transformation
from jaxdict.optimizers._rule import cast, scalar_or_schedule, value_at


class SGDState(NamedTuple):
    """Memory of ``SGD``."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    momentum_buffer: Any = None


class RpropState(NamedTuple):
    """Memory of ``Rprop``: the gradient before, 0 where its sign had changed, and each number's step."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    prev: Any
    step_size: Any


@optimizer
def SGD(
    lr: ScalarOrSchedule = 1e-3,
    momentum: ScalarOrSchedule = 0,
    dampening: Scalar = 0,
    weight_decay: Scalar = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    fused: bool | None = None,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.SGD``: b ← μb + (1 - d)g, undamped at the first step; θ ← θ - ηb, or η(g + μb) with Nesterov.

    The rate is outside the buffer: a new rate acts on the whole old velocity, where Keras's and jaxdict's ``momentum``
    let it decay.

    Args:
      lr: η ≥ 0, a number, a traced scalar or a schedule.
      momentum: μ ≥ 0, likewise; there is no buffer at 0.
      dampening: d.
      weight_decay: ≥ 0, times the parameters, added to the gradient (L2).
      nesterov: look ahead; with momentum and without dampening only.
      maximize: ascend.
      foreach: without effect, as ``differentiable`` and ``fused``.

    Returns:
      The transformation; its state is an ``SGDState``.

    Raises:
      ValueError: a number out of its range, Nesterov without momentum or with dampening.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del foreach, differentiable, fused
    momentum = scalar_or_schedule("momentum", momentum, low=0)
    dampening = _check.scalar("dampening", dampening)
    _check.one_of("nesterov", nesterov, (True, False))
    damps, remembers = in_use(dampening), in_use(momentum)
    if nesterov and (damps or not remembers):
        raise ValueError(f"nesterov needs momentum > 0 and dampening 0; got {momentum!r} and {dampening!r}")

    def direction(t, eta, dtype):
        if not remembers:
            return lambda g: (-eta * g,)
        mu = value_at(momentum, t - 1, dtype)
        fresh = jnp.where(t == 1, jnp.ones((), dtype), 1 - cast(dampening, dtype)) if damps else 1

        def rule(g, b):
            b = mu * b + fresh * g
            return -eta * (g + mu * b if nesterov else b), b

        return rule

    without = () if remembers else ("momentum_buffer",)
    return transformation(direction, SGDState, lr, without=without, weight_decay=weight_decay, maximize=maximize)


@optimizer
def Rprop(
    lr: ScalarOrSchedule = 1e-2,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50.0),
    *,
    capturable: bool = False,
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``torch.optim.Rprop``: steps by the sign of the gradient, each number's own, longer while the sign stays.

    A step grows by η₊ where the sign is the one before, shrinks by η₋ where it changed, and there nothing moves.

    Args:
      lr: ≥ 0, the first step; a later value of a schedule is not asked for.
      etas: η₋, η₊ with 0 < η₋ < 1 < η₊.
      step_sizes: the shortest and the longest step.
      capturable: without effect, as ``foreach`` and ``differentiable``.
      maximize: ascend.

    Returns:
      The transformation; its state is an ``RpropState``.

    Raises:
      ValueError: a number out of its range, or not two where two belong.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    del capturable, foreach, differentiable
    for name, pair in (("etas", etas), ("step_sizes", step_sizes)):
        if len(pair) != 2:
            raise ValueError(f"{name} must be a pair of numbers; got {pair!r}")
    minus = _check.scalar("etas[0]", etas[0], above=0, below=1)
    plus = _check.scalar("etas[1]", etas[1], above=1)
    shortest, longest = (_check.scalar(f"step_sizes[{i}]", size) for i, size in enumerate(step_sizes))

    def direction(t, eta, dtype):
        def rule(g, prev, step_size):
            same = g * prev
            factor = jnp.where(same > 0, cast(plus, dtype), jnp.where(same < 0, cast(minus, dtype), 1.0))
            step_size = jnp.clip(step_size * factor.astype(dtype), cast(shortest, dtype), cast(longest, dtype))
            g = jnp.where(same < 0, jnp.zeros_like(g), g)
            return -jnp.sign(g) * step_size, g, step_size

        return rule

    first = lr(jnp.zeros((), jnp.int32)) if callable(lr) else _check.scalar("lr", lr, low=0)
    return transformation(direction, RpropState, lr, maximize=maximize, start={"step_size": first})
