"""Schedulers made of schedulers: one after another, and multiplied."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp

from jaxdict import _cache, _check
from jaxdict.compat.torch.optim.lr_scheduler._base import LRScheduler


@_cache.constructor
def SequentialLR(schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> LRScheduler:
    """``SequentialLR``: one scheduler after another; each begins at its milestone with its own step 0.

    Args:
      schedulers: at least one; torch's ``optimizer`` before them has no place.
      milestones: one fewer, steps that do not decrease.

    Returns:
      The schedule; its ``momentum`` is made likewise where every part has one.

    Raises:
      ValueError: other numbers of schedulers and milestones, milestones that decrease. TypeError: no schedulers.
    """
    _check_parts("SequentialLR", schedulers)
    steps = [_check.integer("a milestone", m, low=0) for m in milestones]
    if len(steps) != len(schedulers) - 1:
        raise ValueError(f"{len(schedulers)} schedulers need {len(schedulers) - 1} milestones; got {len(steps)}")
    if steps != sorted(steps):
        raise ValueError(f"milestones must not decrease; got {steps}")

    def joined(curves):
        def value(t):
            result = curves[0](t)
            for milestone, curve in zip(steps, curves[1:], strict=True):
                result = jnp.where(t >= milestone, curve(jnp.maximum(t - milestone, 0)), result)
            return result

        return value

    momenta = [part.momentum for part in schedulers if part.momentum is not None]
    momentum = LRScheduler(joined(momenta)) if len(momenta) == len(schedulers) else None
    return LRScheduler(joined(schedulers), momentum)


@_cache.constructor
def ChainedScheduler(schedulers: Sequence[LRScheduler]) -> LRScheduler:
    """``ChainedScheduler``: all at once; each multiplies what the others left, so that their factors multiply.

    That holds for the schedulers that are a factor times the base rate. torch's cosines and cycles set the rate
    anew, which chained is no function of the step alone; LambdaLR undoes those before it.

    Args:
      schedulers: at least one, of the same base rate: StepLR, MultiStepLR, ConstantLR, LinearLR, ExponentialLR,
        PolynomialLR or MultiplicativeLR; the first may be LambdaLR.

    Returns:
      The schedule.

    Raises:
      ValueError: no schedulers, several base rates, one that is not a factor. TypeError: no schedulers.
    """
    _check_parts("ChainedScheduler", schedulers)
    for index, part in enumerate(schedulers):
        if part.factor is None or (part.sets and index):
            raise ValueError(
                f"schedulers[{index}] sets the rate instead of multiplying it, which cannot be chained;"
                " see SequentialLR, or write the product as LambdaLR"
            )
    curves = [part.factor for part in schedulers if part.factor is not None]
    rates: list[Any] = [part.lr for part in schedulers]
    if not any(map(_check.is_traced, rates)) and len(set(rates)) > 1:
        raise ValueError(f"chained schedulers must have one base rate; got {rates}")

    def factor(t):
        return math.prod(curve(t) for curve in curves)

    return LRScheduler(lambda t: rates[0] * factor(t), lr=rates[0], factor=factor)


def _check_parts(name: str, schedulers: Sequence[Any]) -> None:
    if not schedulers:
        raise ValueError(f"{name} needs at least one scheduler")
    for index, part in enumerate(schedulers):
        if not isinstance(part, LRScheduler):
            raise TypeError(f"schedulers[{index}] must be a scheduler of this module; got {part!r}")
