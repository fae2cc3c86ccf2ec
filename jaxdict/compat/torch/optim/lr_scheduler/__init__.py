"""``torch.optim.lr_scheduler``: each scheduler as a pure function ``step -> rate``.

Where torch's scheduler takes its base rate from the optimizer, the first argument here is that rate:
``StepLR(optimizer, 30)`` becomes ``StepLR(lr, 30)``; the others come in torch's order with torch's defaults. The result
is the ``lr`` of an optimizer, ``SGD(lr=StepLR(0.1, 30))``, and step n is the n-th update, from 0. Where torch's
``scheduler.step()`` is called once an epoch, ``StepLR(0.1, 30).every(updates_per_epoch)`` is the same. ``last_epoch``
has no place here: the optimizer's state counts. ``CyclicLR`` and ``OneCycleLR`` move the momentum too, which a function
of the rate cannot: their ``momentum`` is that schedule, for ``SGD(lr=s, momentum=s.momentum)`` or
``Adam(lr=s, betas=(s.momentum, 0.999))``.

``ReduceLROnPlateau`` needs a loss and is a link of a chain after the optimizer.

torch multiplies a rate on from step to step; here it is computed from the step alone, equal to rounding.
"""

from jaxdict.compat.torch.optim.lr_scheduler._base import LRScheduler
from jaxdict.compat.torch.optim.lr_scheduler._compositions import ChainedScheduler, SequentialLR
from jaxdict.compat.torch.optim.lr_scheduler._cosines import CosineAnnealingLR, CosineAnnealingWarmRestarts
from jaxdict.compat.torch.optim.lr_scheduler._cycles import CyclicLR, OneCycleLR
from jaxdict.compat.torch.optim.lr_scheduler._factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from jaxdict.compat.torch.optim.lr_scheduler._plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
