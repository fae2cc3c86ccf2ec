"""Losses: ``(predictions, targets) -> loss of every example``, and what makes one number of them.

Conventions of the room. Arrays ``(..., n)`` are reduced over ``axis`` by the entry's own sum (a mean where the name
says so) and give ``(...)``; ``axis=None`` gives the terms themselves. Predictions and targets have the same shape:
nothing is broadcast. Labels are integers of that shape without the axis. ``where`` marks elements, or whole examples,
that are there; the rest is absent, with value and derivatives 0, NaN or not. The type of the predictions decides:
narrow floats are computed and returned in float32, float64 stays; targets, integers included, are converted to it.

Derivatives are closed forms, for the targets and options too; at a kink they are 0. Infinite inputs give the limit
where there is one; nothing is clipped; a zero target times an infinite term is 0, and so is the derivative by it.
Labels and targets that no class has are an error where they are concrete, NaN in compiled code.
"""

from jaxdict.losses.cross_entropies import (
    focal,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
    sparse_softmax_cross_entropy,
)
from jaxdict.losses.directions import cosine_distance, cosine_similarity
from jaxdict.losses.likelihoods import gaussian_nll, poisson_nll
from jaxdict.losses.margins import categorical_hinge, hinge, multiclass_hinge, squared_hinge
from jaxdict.losses.probabilities import binary_cross_entropy, cross_entropy, kl_divergence, sparse_cross_entropy
from jaxdict.losses.reduction import mean, total, weights_of
from jaxdict.losses.regression import huber, l1, l2, log_cosh, mean_absolute_error, mean_squared_error

__all__ = [
    "binary_cross_entropy", "categorical_hinge", "cosine_distance", "cosine_similarity", "cross_entropy", "focal",
    "gaussian_nll", "hinge", "huber", "kl_divergence", "l1", "l2", "log_cosh", "mean", "mean_absolute_error",
    "mean_squared_error", "multiclass_hinge", "poisson_nll", "sigmoid_cross_entropy", "softmax_cross_entropy",
    "sparse_cross_entropy", "sparse_softmax_cross_entropy", "squared_hinge", "total", "weights_of",
]  # fmt: skip
