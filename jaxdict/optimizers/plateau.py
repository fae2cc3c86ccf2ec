"""Reduce on plateau: one rule that looks at a value, and the transformation that scales updates by it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.optimizers._rule import Scalar, check_floating

# The frameworks' differences, for the transformation and the observer alike.
CONVENTIONS = {
    "torch": "ReduceLROnPlateau: reduce_when='exceeded', patience=10; threshold 1e-4 relative to the value with its"
    " sign (relative_to='value'), or absolute; a reduction of the rate by eps=1e-8 or less is not made"
    " (min_reduction is eps by the rate, min_scale is min_lr by the rate)",
    "keras": "ReduceLROnPlateau: min_delta 1e-4 is absolute (atol, with rtol=0); the last value of the cooldown counts"
    " (cooldown_counts_last=True); a NaN at the first epoch is its best for ever; patience 0 is 1",
    "optax": "contrib.reduce_on_plateau: relative_to='value', as torch: best·(1 - rtol) lies above a negative best, so"
    " that what gets worse by less counts as better, and nothing is reduced; patience 0 reduces after improvements",
}
EQUATION = (
    "wait = cases((0, m < best*(1 - rho*sign(best)) - delta or c > 0), (wait + 1, True));"
    " best = cases((m, m < best*(1 - rho*sign(best)) - delta), (best, True));"
    " s = cases((max(r*s, s_min), wait >= P), (s, True));"
    " c = cases((C, wait >= P), (max(c - 1, 0), True));"
    " wait = cases((0, wait >= P), (wait, True))"
)
SYMBOLS = {
    "value": "m", "monitor": "m", "factor": "r", "patience": "P", "rtol": "rho", "atol": "delta", "cooldown": "C",
    "min_scale": "s_min",
}  # fmt: skip


class PlateauState(NamedTuple):
    """Memory of the rule, scalars: floating in the default type, counts int32."""

    scale: jax.Array  # what updates are multiplied by, 1 at first
    best: jax.Array  # the best value so far, infinite before the first
    wait: jax.Array  # values in a row that were no better
    cooldown: jax.Array  # values that the cooldown still lasts


class PlateauRule(NamedTuple):
    """``init() -> PlateauState``, ``update(state, value) -> PlateauState``: pure, of scalars."""

    init: Callable[[], PlateauState]
    update: Callable[[PlateauState, Any], PlateauState]


@_cache.constructor
def plateau_rule(
    *,
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    mode: str = "min",
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    relative_to: str = "magnitude",
    reduce_when: str = "reached",
    cooldown: Scalar = 0,
    cooldown_counts_last: bool = False,
    min_scale: Scalar = 0.0,
    min_reduction: Scalar = 0.0,
) -> PlateauRule:
    """The rule that lowers a scale when a value has stopped getting better; NaN is never better.

    A value is better when it beats the best by more than ``rtol``·|best| + ``atol``. With all defaults it is optax's
    for positive values; see the conventions of ``reduce_on_plateau`` for the arguments that make it another's.

    Args:
      factor: 0 < factor < 1, what the scale is multiplied by.
      patience: ≥ 0, whole: how many values in a row may be no better.
      mode: "min" or "max", whether smaller or larger is better.
      rtol: 0 ≤ rtol < 1. atol: ≥ 0. At 0 both, any improvement counts.
      relative_to: "magnitude" of the best, or its "value", whose sign turns the threshold round.
      reduce_when: "reached", at the value that makes ``patience`` bad ones (0 is as 1), or "exceeded", at the next.
      cooldown: ≥ 0, whole: how many values after a reduction do not count as bad.
      cooldown_counts_last: whether the last of them does.
      min_scale: ≥ 0, the least that a reduction goes to.
      min_reduction: ≥ 0; a reduction by this or less is not made.

    Returns:
      The rule.

    Raises:
      ValueError: a number out of its range, or not a scalar; an unknown choice.
      TypeError: something that is not a number.
    """
    factor = _check.scalar("factor", factor, above=0, below=1)
    rtol = _check.scalar("rtol", rtol, low=0, below=1)
    atol = _check.scalar("atol", atol, low=0)
    min_scale = _check.scalar("min_scale", min_scale, low=0)
    min_reduction = _check.scalar("min_reduction", min_reduction, low=0)
    patience, cooldown = _count("patience", patience), _count("cooldown", cooldown)
    sign = {"min": 1, "max": -1}[_check.one_of("mode", mode, ["min", "max"])]
    by_magnitude = _check.one_of("relative_to", relative_to, ["magnitude", "value"]) == "magnitude"
    exceeded = _check.one_of("reduce_when", reduce_when, ["reached", "exceeded"]) == "exceeded"
    counts_last = int(_check.one_of("cooldown_counts_last", cooldown_counts_last, [True, False]))

    def init():
        one, zero = jnp.ones((), float), jnp.zeros((), jnp.int32)
        return PlateauState(one, sign * jnp.inf * one, zero, zero)

    def update(state, value):
        value = jnp.asarray(value, state.best.dtype)
        # Multiplied, not subtracted: the first best is infinite.
        direction = jnp.sign(state.best) if by_magnitude else 1
        bar = state.best * (1 - sign * rtol * direction) - sign * atol
        better = sign * value < sign * bar
        best = jnp.where(better, value, state.best)
        cooling = state.cooldown > counts_last
        wait = jnp.where(better | cooling, 0, state.wait + 1)
        due = wait > patience if exceeded else wait >= jnp.maximum(patience, 1)
        lower = jnp.maximum(state.scale * factor, min_scale)
        scale = jnp.where(due & (state.scale - lower > min_reduction), lower, state.scale)
        left = jnp.where(due, cooldown, jnp.maximum(state.cooldown - 1, 0))
        return PlateauState(scale, best, jnp.where(due, 0, wait), left.astype(jnp.int32))

    return PlateauRule(init, update)


def _count(name: str, value: Any) -> Any:
    return value if _check.is_traced(value) else _check.integer(name, value, low=0)


class ReduceOnPlateauState(NamedTuple):
    """Memory of ``reduce_on_plateau``: the rule's, and the mean of the values since it was last asked."""

    plateau: PlateauState
    mean: jax.Array
    seen: jax.Array  # int32


@entry(
    "optimizer",
    equation=EQUATION + "; g = s*g",
    aliases=("reduce lr on plateau", "reducelronplateau"),
    sources=("S4", "PyTorch, torch.optim.lr_scheduler", "optax, optax.contrib"),
    conventions=CONVENTIONS,
    see_also=("observer plateau", "gradient_descent"),
    symbols=SYMBOLS,
)
@_cache.constructor
def reduce_on_plateau(
    *,
    factor: Scalar = 0.1,
    patience: Scalar = 10,
    mode: str = "min",
    rtol: Scalar = 1e-4,
    atol: Scalar = 0.0,
    relative_to: str = "magnitude",
    reduce_when: str = "reached",
    cooldown: Scalar = 0,
    cooldown_counts_last: bool = False,
    min_scale: Scalar = 0.0,
    min_reduction: Scalar = 0.0,
    accumulation_size: Scalar = 1,
) -> optax.GradientTransformationExtraArgs:
    """A link of a chain after an optimizer: scales its updates down when ``value`` has stopped getting better.

    ``optax.chain(adam(1e-3), reduce_on_plateau(patience=5))``, and ``update(updates, state, params, value=loss)``;
    ``fit`` and ``make_step`` give the batch's loss. For a value an epoch see ``observers.plateau``.

    Args:
      accumulation_size: ≥ 1, whole: how many values, one an update, are averaged into one that the rule sees.
      the others: as in ``plateau_rule``.

    Returns:
      The transformation; its state is a ``ReduceOnPlateauState``. The scale that a value causes holds from its own
      update on. Updates keep their type.

    Raises:
      ValueError: as ``plateau_rule``; an accumulation_size below 1; at ``update`` no value.
      TypeError: as ``plateau_rule``, and at ``init`` parameters that are not floating.
    """
    rule = plateau_rule(
        factor=factor, patience=patience, mode=mode, rtol=rtol, atol=atol, relative_to=relative_to,
        reduce_when=reduce_when, cooldown=cooldown, cooldown_counts_last=cooldown_counts_last, min_scale=min_scale,
        min_reduction=min_reduction,
    )  # fmt: skip
    size = accumulation_size
    size = size if _check.is_traced(size) else _check.integer("accumulation_size", size, low=1)

    def init(params):
        check_floating(params)
        return ReduceOnPlateauState(rule.init(), jnp.zeros((), float), jnp.zeros((), jnp.int32))

    def update(updates, state, params=None, *, value=None, **extra_args):
        del params, extra_args
        if value is None:
            raise ValueError("reduce_on_plateau needs a value: call update(updates, state, params, value=loss)")
        seen = state.seen + 1
        mean = state.mean + (jnp.asarray(value, state.mean.dtype) - state.mean) / seen
        full = seen >= size
        asked = rule.update(state.plateau, mean)
        plateau = jax.tree.map(lambda new, old: jnp.where(full, new, old), asked, state.plateau)
        updates = jax.tree.map(lambda u: (u * plateau.scale).astype(jnp.result_type(u)), updates)
        return updates, ReduceOnPlateauState(plateau, jnp.where(full, 0, mean), jnp.where(full, 0, seen))

    return optax.GradientTransformationExtraArgs(init, update)
