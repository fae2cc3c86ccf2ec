"""Keras 3's optimizers as optax transformations: its names, arguments, defaults, order of operations and variables.

A step does what Keras's does, in its order: gradients are divided by ``loss_scale_factor`` and clipped, variables decay
(``θ -= θ·weight_decay·rate``), then the rule is applied. Rules are written as Keras computes them. A state is a
NamedTuple of ``count`` (Keras's ``iteration``), ``learning_rate`` (the one that the last update used; before the first,
the one that it will use) and the slots under Keras's names, trees like the parameters; slots that an optimizer does not
have are None.

Arguments that all have, by keyword:
  weight_decay: λ ≥ 0, decoupled; None for none.
  clipnorm, clipvalue, global_clipnorm: > 0, the largest norm of a tensor, component, norm of all; at most one of them.
  use_ema, ema_momentum, ema_overwrite_frequency: keep a decaying average of the parameters in ``state.average``, and
    every so many steps put it in their place. Keras's ``fit`` does so at the end; here take ``state.average``.
  loss_scale_factor: gradients are those of a loss that was multiplied by this.
  exclude_from_weight_decay: what does not decay (Keras's method of that name): names that are searched in the last
    part of a leaf's path, as ``("bias",)``; or a tree of bools, or a function that gives one for the parameters.
  name: taken and not used.

``learning_rate`` is a number, a traced scalar, or a schedule ``step -> rate``: those of `schedules`, of jaxdict or of
optax; Keras's callable without an argument is not one. Keras's ``gradient_accumulation_steps`` is
``optax.MultiSteps(optimizer, steps)``, whose schedules count updates instead of batches; constraints are no part of an
optimizer. Moments are float32 or wider.
"""

from jaxdict.compat.keras.optimizers import schedules
from jaxdict.compat.keras.optimizers.adaptive import (
    Adadelta,
    AdadeltaState,
    Adagrad,
    AdagradState,
    RMSprop,
    RMSpropState,
)
from jaxdict.compat.keras.optimizers.descent import SGD, Ftrl, FtrlState, Lion, MomentumState
from jaxdict.compat.keras.optimizers.moments import (
    Adam,
    Adamax,
    AdamaxState,
    AdamState,
    AdamW,
    Lamb,
    Nadam,
    NadamState,
)

__all__ = [
    "SGD", "Adadelta", "AdadeltaState", "Adagrad", "AdagradState", "Adam", "AdamState", "AdamW", "Adamax",
    "AdamaxState", "Ftrl", "FtrlState", "Lamb", "Lion", "MomentumState", "Nadam", "NadamState", "RMSprop",
    "RMSpropState", "schedules",
]  # fmt: skip
