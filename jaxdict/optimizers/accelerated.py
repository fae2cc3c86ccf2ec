"""Nesterov's accelerated gradient, in the three forms that are one method.

The resting point θ moves by the velocity v, and the gradient is taken at y = θ + μv, where the momentum will carry it:
v ← μ_t·v − ηg(y), θ ← θ + v. Who holds θ looks ahead for every gradient (Sutskever); who holds y takes the gradient
where it stands (Nesterov, Bengio), and moves by −ηg + μ_{t+1}·v: y needs neither θ nor the old velocity, and what is
kept is μ_{t+1}·v, by which it lies ahead of θ.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import ScalarOrSchedule, cast, elementwise, scalar_or_schedule, value_at


class NesterovState(NamedTuple):
    """Memory of ``nesterov`` and ``nesterov_bengio``, whose parameters lie ``ahead`` of the resting ones.

    ``a`` is the last term of Nesterov's own sequence, where the momentum is made of it, else None.
    """

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    a: Any
    ahead: Any


class NesterovSutskeverState(NamedTuple):
    """Memory of ``nesterov_sutskever``: the velocity ``v``, and the ``momentum`` of the next step."""

    count: jax.Array  # type: ignore[assignment]  # optax's name, over tuple.count
    learning_rate: jax.Array
    momentum: jax.Array
    v: Any


_CONVENTIONS = {
    "torch": "SGD(nesterov=True) holds y; the rate multiplies the whole velocity, which differs when the rate changes",
    "keras": "SGD(nesterov=True) holds y, and is this method under a changing rate too; momentum is a fixed number",
    "optax": "sgd(nesterov=True) holds y, with the rate outside the velocity as torch",
    "S1": "momentum 0.9; the velocity has the other sign",
    "S2": "momentum 0.9, by nesterov=True in Keras",
    "S4": "momentum 0.9",
}


@entry(
    "optimizer",
    equation="theta_t = y - eta*g(y); y = theta_t + mu*(theta_t - theta); theta = theta_t",
    aliases=("nag", "nesterov momentum", "nesterov accelerated gradient", "accelerated gradient"),
    sources=("S0 6.3", "S2 11.3.2", "S4", "Nesterov 1983, Soviet Mathematics Doklady 27(2), 372-376"),
    errata=(
        "S0 6.3 gives no start: the first y is the first theta. Where momentum changes, the factor in the line for y is"
        " that of the next step.",
        "S0 6.3 allows momentum in [0, 1]; at 1 nothing damps: [0, 1).",
        "S4 finds the local minimum that momentum finds: it is an endless valley of Beale's function, and at some rates"
        " (1e-5 is one) only one of the two ends in it.",
    ),
    conventions=_CONVENTIONS | {"paper": "momentum by the sequence of the paper, momentum=None here"},
    see_also=("nesterov_sutskever", "nesterov_bengio", "momentum"),
)
@_cache.constructor
def nesterov(
    learning_rate: ScalarOrSchedule, *, momentum: ScalarOrSchedule | None = 0.9, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's two sequences: a gradient step from y to θ, then on in the direction in which θ moved.

    The parameters are y; ``resting_params(params, opt_state)`` are θ, which is what the method converges by.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, likewise; None for the sequence of 1983, (a_t - 1)/a_{t+1} with a₁ = 1 and
        a_{t+1} = (1 + √(1 + 4a_t²))/2, which begins at 0 and goes to 1 like 1 - 3/t: for convex functions, whole
        gradients and rates up to 1 over the curvature.
      state_dtype: what is kept is stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is a ``NesterovState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    if momentum is not None:
        return _holding_y(learning_rate, momentum, state_dtype)

    def advance(a):
        return (1 + jnp.sqrt(1 + 4 * a**2)) / 2

    def step(t, eta, dtype, a):
        return _step_of_y(eta, (a - 1) / advance(a))

    sequence = {"a": (0.0, lambda t, a: advance(a))}  # a₁ = 1 follows 0
    return elementwise(step, NesterovState, learning_rate, scalars=sequence, state_dtype=state_dtype)


@entry(
    "optimizer",
    equation="v = mu*v - eta*g(theta + mu*v); theta = theta + v",
    aliases=("sutskever nesterov momentum", "look ahead momentum"),
    sources=(
        "S0 6.3.1", "S1 1.2", "S2 11.3.2", "S4",
        "Sutskever, Martens, Dahl and Hinton 2013, Proceedings of Machine Learning Research 28(3), 1139-1147",
    ),
    errata=(
        "S0 6.3 allows momentum in [0, 1]; at 1 nothing damps: [0, 1).",
        "S1 1.2 says that momentum computes the gradient and prints the loss: nabla is missing. Its velocity has the"
        " other sign, for which theta - gamma*v is the look-ahead.",
    ),
    conventions=_CONVENTIONS,
    see_also=("nesterov", "nesterov_bengio", "momentum"),
)  # fmt: skip
@_cache.constructor
def nesterov_sutskever(
    learning_rate: ScalarOrSchedule, *, momentum: ScalarOrSchedule = 0.9, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's method as momentum whose gradient is taken where the velocity leads.

    The parameters are θ; the gradient that ``update`` gets must be that at ``lookahead_params(params, opt_state)``.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, likewise.
      state_dtype: what is kept is stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is a ``NesterovSutskeverState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    momentum = scalar_or_schedule("momentum", momentum, low=0, below=1)

    def step(t, eta, dtype, **_):
        mu = value_at(momentum, t - 1, dtype)

        def rule(g, v):
            v = mu * v - eta * g
            return v, v

        return rule

    following = {"momentum": (value_at(momentum, 0, float), lambda t, _: value_at(momentum, t, float))}
    return elementwise(step, NesterovSutskeverState, learning_rate, scalars=following, state_dtype=state_dtype)


@entry(
    "optimizer",
    equation="v_t = mu*v - eta*g(y); y = y + v_t + mu*(v_t - v); v = v_t",
    aliases=("bengio nesterov momentum", "simplified nesterov momentum"),
    sources=(
        "S0 6.3.2", "S4", "Bengio, Boulanger-Lewandowski and Pascanu 2013, arXiv:1212.0901",
    ),
    errata=(
        "S4: the last line of its change of variables, which sets the new velocity to the old one, is the wrong way"
        " round. v_t + mu*(v_t - v) holds for a constant momentum; else it is v_t plus the next step's momentum times"
        " v_t minus this step's times v. The result is the look-ahead point, theta is y - mu*v.",
    ),
    conventions=_CONVENTIONS,
    see_also=("nesterov", "nesterov_sutskever", "momentum"),
)  # fmt: skip
@_cache.constructor
def nesterov_bengio(
    learning_rate: ScalarOrSchedule, *, momentum: ScalarOrSchedule = 0.9, state_dtype: Any = None
) -> optax.GradientTransformationExtraArgs:
    """Nesterov's method for the look-ahead point itself: the gradient is taken where the parameters are.

    The parameters are y; ``resting_params(params, opt_state)`` are θ. A changing rate or momentum leaves it the same
    method, for which the momentum of the next step is asked too.

    Args:
      learning_rate: η ≥ 0, a number, a traced scalar or a schedule ``step -> rate``.
      momentum: 0 ≤ μ < 1, likewise.
      state_dtype: what is kept is stored in it; by default float32, or the parameters' type where that is wider.

    Returns:
      The transformation; its state is a ``NesterovState``.

    Raises:
      ValueError: a number out of its range, or one that is not a scalar; a ``state_dtype`` that is not floating.
      TypeError: something that is not a number, and at ``init`` parameters that are not floating.
    """
    return _holding_y(learning_rate, momentum, state_dtype)


def _holding_y(learning_rate, momentum, state_dtype):
    momentum = scalar_or_schedule("momentum", momentum, low=0, below=1)

    def step(t, eta, dtype):
        return _step_of_y(eta, value_at(momentum, t, dtype))

    return elementwise(step, NesterovState, learning_rate, without=("a",), state_dtype=state_dtype)


def _step_of_y(eta, following):
    def rule(g, ahead):
        # μ_{t+1}·(ahead - ηg), multiplied out: XLA then works in place, where it would copy a velocity that two need.
        ahead = following * ahead - (following * eta) * g
        return ahead - eta * g, ahead

    return rule


def lookahead_params(params: Any, opt_state: Any, *, strict: bool = True) -> Any:
    """θ + μv, where ``nesterov_sutskever`` wants its gradient.

    Args:
      params: the parameters θ.
      opt_state: the optimizer's state; that of ``nesterov_sutskever`` may be anywhere in it, inside ``optax.chain``,
        ``masked``, ``partition``, ``inject_hyperparams``, ``MultiSteps`` …; what it does not train stays.
      strict: False for a loop over any optimizer: where none looks ahead, the parameters come back.

    Returns:
      A tree like ``params``.

    Raises:
      ValueError: no such state, unless ``strict`` is False.
    """
    found = _find(opt_state, NesterovSutskeverState, strict, "nesterov_sutskever")
    return _moved(params, [(state.v, state.momentum) for state in found])


def resting_params(params: Any, opt_state: Any, *, strict: bool = True) -> Any:
    """θ = y − μv, the resting parameters of ``nesterov`` and ``nesterov_bengio``.

    Args:
      params: the parameters y.
      opt_state: the optimizer's state; theirs may be anywhere in it, as in ``lookahead_params``.
      strict: False for a loop over any optimizer: where all hold θ, the parameters come back.

    Returns:
      A tree like ``params``.

    Raises:
      ValueError: no such state, unless ``strict`` is False.
    """
    found = _find(opt_state, NesterovState, strict, "nesterov or nesterov_bengio")
    return _moved(params, [(state.ahead, -1.0) for state in found])


def _find(opt_state, memory, strict, names):
    found = [s for s in jax.tree.leaves(opt_state, is_leaf=lambda s: isinstance(s, memory)) if isinstance(s, memory)]
    _check.one_of("strict", strict, (True, False))
    if strict and not found:
        raise ValueError(f"opt_state holds no state of {names}; got {jax.tree.structure(opt_state)}")
    return found


def _moved(params, ways):
    """``params`` and each of the ways, a tree of which some leaves may be masked and its factor, computed wide."""
    for way, factor in ways:

        def move(step, p, factor=factor):
            if isinstance(step, optax.MaskedNode):
                return p
            dtype = jnp.result_type(p)
            wide = _check.compute_dtype(jnp.promote_types(dtype, step.dtype))
            return (jnp.asarray(p, wide) + cast(factor, wide) * step.astype(wide)).astype(dtype)

        params = jax.tree.map(move, way, params, is_leaf=lambda x: isinstance(x, optax.MaskedNode))
    return params
