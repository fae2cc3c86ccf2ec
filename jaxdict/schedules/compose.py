"""Schedules made of schedules: a warm-up into any, several one after the other."""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict._entry import entry
from jaxdict.schedules._steps import Scalar, Schedule, between, elapsed, row
from jaxdict.schedules.decay import constant


@entry(
    "schedule",
    equation="cases((eta0 + (f(0) - eta0)*t/w, t < w), (f(t - w), True))",
    aliases=("warm up", "linear warmup", "gradual warmup", "warmup cosine"),
    sources=("Goyal et al. 2017, arXiv:1706.02677",),
    conventions={
        "torch": "LinearLR(start_factor=1/3, total_iters=5) and SequentialLR",
        "keras": "CosineDecay(decay_steps=d, warmup_target, warmup_steps=w): ends at w + d, as warmup(cosine_annealing"
        "(target, d), w) here",
        "optax": "warmup_cosine_decay_schedule(init, peak, w, decay_steps): decay_steps hold the warm-up, so that d is"
        " decay_steps - w",
    },
    see_also=("join", "one_cycle", "polynomial"),
    symbols={"schedule": "f", "warmup_steps": "w", "init_value": "eta0"},
)
@_cache.constructor
def warmup(schedule: Schedule | Scalar, warmup_steps: Scalar, *, init_value: Scalar = 0.0) -> Schedule:
    """A line up to the first value of a schedule, which starts when the line is there.

    Args:
      schedule: f, what follows; a number is a constant.
      warmup_steps: w ≥ 0, the steps before it starts; at step w the value is f(0).
      init_value: η₀, the value at step 0. From 0, the first update changes nothing.

    Returns:
      ``step -> value``, of the step's shape; whole, it is w steps longer than the schedule.

    Raises:
      ValueError: a number out of its range, or not a scalar.
      TypeError: something that is not a number.
    """
    after = schedule if callable(schedule) else constant(_check.scalar("schedule", schedule))
    warmup_steps = _check.scalar("warmup_steps", warmup_steps, low=0)
    init_value = _check.scalar("init_value", init_value)

    def warmed(step):
        t = elapsed(step)
        share = jnp.minimum(t, warmup_steps) / jnp.where(jnp.asarray(warmup_steps) > 0, warmup_steps, 1).astype(t.dtype)
        rising = between(init_value, after(jnp.zeros_like(t)), share)
        return jnp.where(t < warmup_steps, rising, after(_since(step, warmup_steps)))

    return warmed


@entry(
    "schedule",
    equation="cases((f(t), t < b), (g(t - b), True))",
    aliases=("join schedules", "sequential", "sequential lr", "sequence of schedules"),
    sources=("S4",),
    conventions={
        "torch": "SequentialLR(schedulers, milestones); each starts from the rate that the optimizer was given",
        "keras": "none",
        "optax": "join_schedules: the same values; parts that are not on yet are asked for negative steps, where some"
        " are infinite and make the derivative NaN",
    },
    see_also=("piecewise", "warmup"),
    symbols={"boundaries": "b"},
)
@_cache.constructor
def join(schedules: Sequence[Schedule], boundaries: Sequence[Scalar]) -> Schedule:
    """One schedule after the other, each counting its steps from its own start.

    Args:
      schedules: f, g, …, in order.
      boundaries: b, ascending: the steps at which the second and following ones start, each with its value at 0.

    Returns:
      ``step -> value``, of the step's shape.

    Raises:
      ValueError: no schedule, another number of boundaries than one less, or boundaries that do not ascend.
      TypeError: something that is not a schedule, or not a number.
    """
    schedules, boundaries = tuple(schedules), row("boundaries", boundaries, ascending=True)
    for part in schedules:
        if not callable(part):
            raise TypeError(f"schedules must be functions step -> value; got {part!r}")
    if len(schedules) != len(boundaries) + 1:
        raise ValueError(
            f"schedules must be one more than boundaries; got {len(schedules)} schedules and "
            f"{len(boundaries)} boundaries"
        )

    def joined(step):
        t, value = elapsed(step), schedules[0](step)
        for part, start in zip(schedules[1:], boundaries, strict=True):
            value = jnp.where(t < start, value, part(_since(step, start)))
        return value

    return joined


def _since(step, start: Scalar):
    """The steps since ``start``, 0 before it; whole where both are whole."""
    step = jnp.asarray(step)
    if isinstance(start, float) and start.is_integer() and jnp.issubdtype(step.dtype, jnp.integer):
        step = step.astype(jnp.int32) if step.dtype.itemsize < 4 else step
        return jnp.maximum(step - int(start), 0)
    return jnp.maximum(elapsed(step) - start, 0)


__all__ = ["join", "warmup"]
