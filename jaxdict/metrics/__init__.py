"""Metrics: ``(predictions, targets) -> one number`` over examples, exact when the examples come in batches.

Conventions of the room. The leading axis is the examples'. Predictions are what a model gives: logits or means; where
classes are judged, integers ``(n,)`` are predicted classes instead. Every metric is a `Stream`: float32 sums of a
batch, a way to merge them, and the value at the end, so that partial batches count by their examples (counts are exact
up to 2**24). An example of weight 0 is absent, NaN or not; weights are not negative. The value is a float32 scalar,
an array where that is said; with no examples, or no weight, it is NaN. Regression targets have the shape of the
predictions: nothing is broadcast.
"""

from jaxdict.metrics._stream import Metric, Stream, add, name_of, stream
from jaxdict.metrics.confusion import confusion_matrix, f1, precision, recall
from jaxdict.metrics.hits import accuracy, binary_accuracy, top_k_accuracy
from jaxdict.metrics.ranking import auc
from jaxdict.metrics.regression import mean_absolute_error, mean_squared_error, r2

__all__ = [
    "Metric", "Stream", "accuracy", "add", "auc", "binary_accuracy", "confusion_matrix", "f1", "mean_absolute_error",
    "mean_squared_error", "name_of", "precision", "r2", "recall", "stream", "top_k_accuracy",
]  # fmt: skip
