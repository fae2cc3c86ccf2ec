"""``torch.optim``: each optimizer as an optax transformation with torch's arguments, their order and defaults.

``SGD(model.parameters(), lr=0.1)`` becomes ``SGD(lr=0.1)``. ``lr`` and momentum may be numbers, traced scalars or
schedules ``step -> value`` such as ``lr_scheduler`` gives. States hold torch's buffers under torch's names, None where
the arguments ask for none, and ``count`` and ``learning_rate``. ``foreach``, ``fused``, ``capturable`` and
``differentiable`` say how torch computes, not what: they are accepted and change nothing. Parameters decay all alike,
as in torch, and then ``update`` needs them.

Moments are float32 at least, where torch keeps those of bfloat16 parameters in bfloat16. In float32 the scalars of a
step (rates, bias corrections) are float32 too, where torch has them in float64; formulas are chosen so that this costs
rounding only.
"""

from jaxdict.compat.torch.optim import lr_scheduler
from jaxdict.compat.torch.optim._build import Optimizer
from jaxdict.compat.torch.optim.adam import Adam, Adamax, AdamaxState, AdamState, AdamW, NAdam, NAdamState, RAdam
from jaxdict.compat.torch.optim.descent import SGD, Rprop, RpropState, SGDState
from jaxdict.compat.torch.optim.squares import (
    Adadelta,
    AdadeltaState,
    Adagrad,
    AdagradState,
    RMSprop,
    RMSpropState,
)

__all__ = [
    "SGD", "Adadelta", "AdadeltaState", "Adagrad", "AdagradState", "Adam", "AdamState", "AdamW", "Adamax",
    "AdamaxState", "NAdam", "NAdamState", "Optimizer", "RAdam", "RMSprop", "RMSpropState", "Rprop", "RpropState",
    "SGDState", "lr_scheduler",
]  # fmt: skip
