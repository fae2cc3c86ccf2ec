"""Schedules: factories that give ``step -> value``, for learning rates and any other hyperparameter.

Conventions of the room. Steps count updates from 0: the first update uses the value at 0. A step may be a Python
number, a traced scalar or an array (the value then has its shape). Values are floating, float32 unless an argument or
the step is wider. Initial and final values, rates and lengths may be traced: optax's curves, written here because
optax's own look at these numbers while a program is built. Where a value changes at a step, the new one holds at that
step. The same arguments give the same object.

Whole steps up to 2**24 are exact, and so is which cycle or stair they are in, where lengths are whole numbers too.
"""

from jaxdict.schedules._steps import Scalar, Schedule
from jaxdict.schedules.compose import join, warmup
from jaxdict.schedules.cycles import cosine_restarts, cyclic_cosine, exp_range, one_cycle, triangular, triangular2
from jaxdict.schedules.decay import (
    constant,
    cosine_annealing,
    exponential,
    inverse_time,
    piecewise,
    polynomial,
    step_decay,
)

__all__ = [
    "Scalar", "Schedule", "constant", "cosine_annealing", "cosine_restarts", "cyclic_cosine", "exp_range",
    "exponential", "inverse_time", "join", "one_cycle", "piecewise", "polynomial", "step_decay", "triangular",
    "triangular2", "warmup",
]  # fmt: skip
