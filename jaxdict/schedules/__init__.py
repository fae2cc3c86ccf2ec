"""Schedules: factories that give ``step -> value``, for learning rates and any other hyperparameter.

Conventions of the room. Steps count updates from 0: the first update uses the value at 0. A step may be a Python
number, a traced scalar or an array (the value then has its shape). Values are floating, float32 unless an argument or
the step is wider. Initial and final values, rates and lengths may be traced: optax's curves, written here because
optax's own look at these numbers while a program is built. The same arguments give the same object.
"""

from jaxdict.schedules.decay import Scalar, Schedule, constant, cosine_annealing, exponential

__all__ = ["Scalar", "Schedule", "constant", "cosine_annealing", "exponential"]
