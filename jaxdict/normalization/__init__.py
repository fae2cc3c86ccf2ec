"""Normalization: shift and scale features by statistics of the batch or of each example, or by ones that were kept.

Conventions of the room. The mean and variance in the equations of batch norms are over the batch (and space), in those
of the others over the features of one example. Variances are biased (divided by m) unless asked otherwise. ``axis`` is
the feature axis. Momentum is the weight of the old value. ε is added to the variance. Narrow floats are computed in
float32 and rounded once; statistics are float32 or wider. A large mean costs no digits, and squares do not overflow.
What is constant is normalized to 0, for any ε, and so becomes the offset: a constant feature, a batch of one, a layer
of one feature. NaN spreads over what it is normalized with, and so does infinity. Gradients go through the statistics.
"""

from jaxdict.normalization.batch import batch_norm, batch_statistics, update_running
from jaxdict.normalization.example import group_norm, layer_norm, rms_norm
from jaxdict.normalization.population import fold_batch_norm, population_statistics
from jaxdict.normalization.renorm import batch_renorm, renorm_limits

__all__ = [
    "batch_norm", "batch_renorm", "batch_statistics", "fold_batch_norm", "group_norm", "layer_norm",
    "population_statistics", "renorm_limits", "rms_norm", "update_running",
]  # fmt: skip
