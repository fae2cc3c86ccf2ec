"""Optimizers: factories that give an ``optax.GradientTransformationExtraArgs``.

Conventions of the room. The update rule of an optimizer stands in its own function and is the one that runs. Step
numbers ``t`` start at 1; schedules are asked for the number of updates done before, 0 at the first. Moments are
float32 or wider whatever the type of the parameters; updates come back in the type of the gradients. Every state of an
optimizer holds ``count`` (int32, updates done) and, where a rate is applied, ``learning_rate`` (float32, the one that
the last update used; before the first, the one that it will use). Hyperparameters may be numbers or traced scalars,
rates and momentum also schedules. The same arguments give the same object, so that a program compiled for one serves
the other.

Clipping and decay are links of a chain, ``optax.chain(clip_by_global_norm(1.0), adam(1e-3))``: what goes through one
before an optimizer is the gradient, after it the update.
"""

from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule
from jaxdict.optimizers.adaptive import AdamState, ScaleByAdamState, adam, scale_by_adam
from jaxdict.optimizers.descent import MomentumState, ScaleByRateState, gradient_descent, momentum, scale_by_rate
from jaxdict.optimizers.gradients import clip_by_global_norm, clip_by_norm, clip_by_value, weight_decay

__all__ = [
    "AdamState", "MomentumState", "Scalar", "ScalarOrSchedule", "ScaleByAdamState", "ScaleByRateState", "adam",
    "clip_by_global_norm", "clip_by_norm", "clip_by_value", "gradient_descent", "momentum", "scale_by_adam",
    "scale_by_rate", "weight_decay",
]  # fmt: skip
