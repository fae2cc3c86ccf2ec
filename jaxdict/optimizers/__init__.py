"""Optimizers: factories that give an ``optax.GradientTransformationExtraArgs``.

Conventions of the room. The update rule of an optimizer stands in its own function and is the one that runs. Step
numbers ``t`` start at 1; schedules are asked for the number of updates done before, 0 at the first. Moments are
float32 or wider whatever the type of the parameters, unless ``state_dtype`` says otherwise (bfloat16 has 8 bits: a mean
that decays by 0.999 stops moving in it); updates come back in the type of the gradients. Every state of an
optimizer holds ``count`` (int32, updates done) and, where a rate is applied, ``learning_rate`` (float32, the one that
the last update used; before the first, the one that it will use). Hyperparameters may be numbers or traced scalars,
rates and momentum also schedules. The same arguments give the same object, so that a program compiled for one serves
the other.

Denominators are √(v + eps_root) + eps; the defaults are those of the source. ``scale_by_…`` is the rule along the
gradient and without a rate, as a link of a chain. Most parameters are where the gradient is taken; where they are not,
``lookahead_params`` says where, and ``resting_params`` what a method converges by.

Clipping and decay are links of a chain, ``optax.chain(clip_by_global_norm(1.0), adam(1e-3))``: what goes through one
before an optimizer is the gradient, after it the update.
"""

from jaxdict.optimizers._rule import Scalar, ScalarOrSchedule
from jaxdict.optimizers.accelerated import (
    NesterovState,
    NesterovSutskeverState,
    lookahead_params,
    nesterov,
    nesterov_bengio,
    nesterov_sutskever,
    resting_params,
)
from jaxdict.optimizers.adam_variants import (
    AdamaxState,
    AmsgradState,
    NadamState,
    ScaleByAdamaxState,
    ScaleByAmsgradState,
    ScaleByNadamState,
    adamax,
    amsgrad,
    nadam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_nadam,
)
from jaxdict.optimizers.adaptive import AdamState, ScaleByAdamState, adam, adam_uncorrected, scale_by_adam
from jaxdict.optimizers.adopted import AdoptedState, adamw, lamb, lion, muon, radam, rprop, sgd
from jaxdict.optimizers.descent import MomentumState, ScaleByRateState, gradient_descent, momentum, scale_by_rate
from jaxdict.optimizers.gradients import clip_by_global_norm, clip_by_norm, clip_by_value, weight_decay
from jaxdict.optimizers.packing import Packing, packed, packing
from jaxdict.optimizers.perceptron import perceptron_rule
from jaxdict.optimizers.plateau import PlateauRule, PlateauState, ReduceOnPlateauState, plateau_rule, reduce_on_plateau
from jaxdict.optimizers.rms import (
    AdadeltaState,
    AdagradState,
    RmspropState,
    ScaleByAdadeltaState,
    ScaleByAdagradState,
    ScaleByRmspropState,
    adadelta,
    adagrad,
    rmsprop,
    scale_by_adadelta,
    scale_by_adagrad,
    scale_by_rmsprop,
)
from jaxdict.optimizers.second_order import (
    DampingState,
    conjugate_gradient,
    gauss_newton,
    lbfgs,
    levenberg_marquardt,
    newton,
)

__all__ = [
    "AdadeltaState", "AdagradState", "AdamState", "AdamaxState", "AdoptedState", "AmsgradState", "DampingState",
    "MomentumState", "NadamState", "NesterovState", "NesterovSutskeverState", "Packing", "PlateauRule",
    "PlateauState", "ReduceOnPlateauState", "RmspropState", "Scalar", "ScalarOrSchedule", "ScaleByAdadeltaState",
    "ScaleByAdagradState", "ScaleByAdamState", "ScaleByAdamaxState", "ScaleByAmsgradState", "ScaleByNadamState",
    "ScaleByRateState", "ScaleByRmspropState", "adadelta", "adagrad", "adam", "adam_uncorrected", "adamax", "adamw",
    "amsgrad", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "conjugate_gradient", "gauss_newton",
    "gradient_descent", "lamb", "lbfgs", "levenberg_marquardt", "lion", "lookahead_params", "momentum", "muon",
    "nadam", "nesterov", "nesterov_bengio", "nesterov_sutskever", "newton", "packed", "packing", "perceptron_rule",
    "plateau_rule", "radam", "reduce_on_plateau", "resting_params", "rmsprop", "rprop", "scale_by_adadelta",
    "scale_by_adagrad", "scale_by_adam", "scale_by_adamax", "scale_by_amsgrad", "scale_by_nadam", "scale_by_rate",
    "scale_by_rmsprop", "sgd", "weight_decay",
]  # fmt: skip
