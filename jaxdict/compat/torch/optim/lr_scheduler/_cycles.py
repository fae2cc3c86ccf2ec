"""Cycles, in which the momentum falls while the rate rises: CyclicLR, OneCycleLR."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict.compat.torch.optim.lr_scheduler._base import LRScheduler, Scalar, power


@_cache.constructor
def CyclicLR(
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: str = "triangular",
    gamma: Scalar = 1.0,
    scale_fn: Callable[[Any], Any] | None = None,
    scale_mode: str = "cycle",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.8,
    max_momentum: Scalar = 0.9,
) -> LRScheduler:
    """``CyclicLR``: up in a line from ``base_lr`` to ``max_lr`` and down again, in cycles that may flatten.

    Args:
      base_lr: the lowest rate.
      max_lr: the highest, before scaling.
      step_size_up: ≥ 1, steps up.
      step_size_down: steps down, as many when None.
      mode: "triangular", "triangular2" (each cycle half as high) or "exp_range" (height ``gamma**step``).
      gamma: for "exp_range".
      scale_fn: the height by the cycle, from 1, or by the step, in place of ``mode``.
      scale_mode: what ``scale_fn`` is given, "cycle" or "iterations".
      cycle_momentum: move the momentum against the rate; the result's ``momentum`` is its schedule.
      base_momentum: the lowest momentum, where the rate is highest.
      max_momentum: the highest.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range, an unknown mode. TypeError: something that is no number.
    """
    low, high = _check.scalar("base_lr", base_lr, low=0), _check.scalar("max_lr", max_lr, low=0)
    up = _check.integer("step_size_up", step_size_up, low=1)
    down = up if step_size_down is None else _check.integer("step_size_down", step_size_down, low=1)
    _check.one_of("scale_mode", scale_mode, ("cycle", "iterations"))
    gamma = _check.scalar("gamma", gamma)
    if scale_fn is None:
        _check.one_of("mode", mode, ("triangular", "triangular2", "exp_range"))
        scale_mode = "iterations" if mode == "exp_range" else "cycle"
    heights: dict[str, Callable[[Any], Any]] = {
        "triangular": jnp.ones_like,
        "triangular2": lambda cycle: power(0.5, cycle - 1),
        "exp_range": lambda step: power(gamma, step),
    }
    height = heights[mode] if scale_fn is None else scale_fn
    total = up + down

    def level(t):
        phase = jnp.mod(t, total)
        side = jnp.where(phase <= up, phase / up, (total - phase) / down)
        return side * height(1 + jnp.floor_divide(t, total) if scale_mode == "cycle" else t)

    momentum = None
    if cycle_momentum:
        least = _check.scalar("base_momentum", base_momentum, low=0)
        most = _check.scalar("max_momentum", max_momentum, low=0)
        momentum = LRScheduler(lambda t: most - (most - least) * level(t))
    return LRScheduler(lambda t: low + (high - low) * level(t), momentum)


@_cache.constructor
def OneCycleLR(
    max_lr: Scalar,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: Scalar = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.85,
    max_momentum: Scalar = 0.95,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    three_phase: bool = False,
) -> LRScheduler:
    """``OneCycleLR``: up from ``max_lr/div_factor`` to ``max_lr``, then down to that over ``final_div_factor``.

    The peak is at step ``pct_start*total_steps - 1``, the end at ``total_steps - 1``. torch refuses a step after
    ``total_steps``; here the rate stays.

    Args:
      max_lr: the highest rate.
      total_steps: ≥ 1; or ``epochs*steps_per_epoch``.
      epochs: ≥ 1.
      steps_per_epoch: ≥ 1.
      pct_start: in [0, 1], the rise's share of the steps.
      anneal_strategy: "cos" or "linear".
      cycle_momentum: move the momentum against the rate; the result's ``momentum`` is its schedule.
      base_momentum: the lowest momentum, where the rate is highest.
      max_momentum: the highest.
      div_factor: > 0. ``final_div_factor``: > 0.
      three_phase: fall to the first rate as fast as it rose, then to the last.

    Returns:
      The schedule.

    Raises:
      ValueError: a number out of its range, no length, a first phase that ends at step 0. TypeError: no number.
    """
    total = _total(total_steps, epochs, steps_per_epoch)
    share = float(_check.number("pct_start", pct_start, low=0, high=1))
    _check.one_of("anneal_strategy", anneal_strategy, ("cos", "linear"))
    high = _check.scalar("max_lr", max_lr, low=0)
    first = high / _check.scalar("div_factor", div_factor, above=0)
    last = first / _check.scalar("final_div_factor", final_div_factor, above=0)
    if three_phase:
        ends = [share * total - 1, 2 * share * total - 2, total - 1]
        rates, sides = [first, high, first, last], [1, 0, 1, 1]
    else:
        ends, rates, sides = [share * total - 1, total - 1], [first, high, last], [1, 0, 1]
    begins = [0.0, *ends[:-1]]
    if any(begin == end for begin, end in zip(begins, ends, strict=True)):
        raise ValueError(f"a phase of no length: pct_start {share:g} of {total} steps ends phases at steps {ends}")

    def curve(values):
        def value(t):
            t = jnp.minimum(t, total)
            result = _anneal(anneal_strategy, values[-2], values[-1], (t - begins[-1]) / (ends[-1] - begins[-1]))
            for i in reversed(range(len(ends) - 1)):
                part = _anneal(anneal_strategy, values[i], values[i + 1], (t - begins[i]) / (ends[i] - begins[i]))
                result = jnp.where(t <= ends[i], part, result)
            return result

        return value

    momentum = None
    if cycle_momentum:
        least = _check.scalar("base_momentum", base_momentum, low=0)
        most = _check.scalar("max_momentum", max_momentum, low=0)
        momentum = LRScheduler(curve([most if side else least for side in sides]))
    return LRScheduler(curve(rates), momentum)


def _total(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        return _check.integer("total_steps", total_steps, low=1)
    if epochs is None or steps_per_epoch is None:
        raise ValueError("give total_steps, or epochs and steps_per_epoch")
    return _check.integer("epochs", epochs, low=1) * _check.integer("steps_per_epoch", steps_per_epoch, low=1)


def _anneal(strategy: str, start: Scalar, end: Scalar, share: Any) -> Any:
    if strategy == "cos":
        return end + (start - end) / 2 * (jnp.cos(jnp.pi * share) + 1)
    return (end - start) * share + start
