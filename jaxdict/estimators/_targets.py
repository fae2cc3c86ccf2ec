"""What targets mean: labels of a classification, numbers of a regression."""

import dataclasses
import math
from typing import Any

import numpy as np
import scipy.special
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from jaxdict import _check, _registry
from jaxdict.estimators._network import Network
from jaxdict.runner import intern


@dataclasses.dataclass(init=False, eq=False, repr=False, kw_only=True)
class Labels(ClassifierMixin, Network):
    """Targets are labels of any kind; the model gives a logit for each class, two where there are two."""

    class_weight: Any = None

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on from where the last one ended; ``X`` may hold other examples each time.

        Args:
          X: ``(n, features)`` numbers. y: ``(n,)`` labels.
          classes: all labels that will ever come; needed in the first call, and the same in later ones.
          sample_weight: ``(n,)``, at least 0; 1 when None.

        Returns:
          The estimator. So many calls with the same data are one ``fit`` of so many epochs.

        Raises:
          ValueError: no classes at first, others than before, labels that are none of them; early stopping;
            balanced classes.
        """
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all examples at once; give partial_fit a dict of weights")
        known = getattr(self, "classes_", None)
        if classes is None and known is None:
            raise ValueError("classes must be given to the first call of partial_fit: all labels that will come")
        if classes is not None and known is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes must be those of the first call, {known}; got {np.unique(classes)}")
        return self._partial_fit(X, y, classes, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of every example.

        Args:
          X: ``(n, features)`` numbers.

        Returns:
          ``(n,)`` labels, of the type of those that were fitted.

        Raises:
          NotFittedError: before ``fit``. ValueError: other features than were fitted.
        """
        best = np.argmax(self._outputs(X), axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of every class, in the order of ``classes_``.

        Args:
          X: ``(n, features)`` numbers.

        Returns:
          ``(n, classes)`` float64; rows add up to 1.

        Raises:
          NotFittedError: before ``fit``. ValueError: other features than were fitted.
        """
        return scipy.special.softmax(self._outputs(X).astype(np.float64), axis=1)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of the probability of every class, finite where the probability is 0 to rounding.

        Args:
          X: ``(n, features)`` numbers.

        Returns:
          ``(n, classes)`` float64.

        Raises:
          NotFittedError: before ``fit``. ValueError: other features than were fitted.
        """
        return scipy.special.log_softmax(self._outputs(X).astype(np.float64), axis=1)

    def _loss(self) -> str:
        return "sparse_softmax_cross_entropy"

    def _metric(self) -> str:
        return "accuracy"

    def _outcomes(self, y: np.ndarray, classes: Any) -> tuple[np.ndarray, np.ndarray]:
        check_classification_targets(y)
        known = np.unique(y if classes is None else classes)
        if classes is not None and (strange := np.setdiff1d(y, known)).size:
            raise ValueError(f"y holds labels that are no classes: {strange}; the classes are {known}")
        return np.searchsorted(known, y).astype(np.int32), known

    def _weights(self, y: np.ndarray, classes: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        by_class = np.ones(len(classes), np.float32)
        if isinstance(self.class_weight, str):
            _check.one_of("class_weight", self.class_weight, ["balanced"])
            there = np.unique(y)  # a class that is not there weighs nothing anyway
            by_class[np.searchsorted(classes, there)] = compute_class_weight("balanced", classes=there, y=y)
        elif isinstance(self.class_weight, dict):
            known = {label: place for place, label in enumerate(classes.tolist())}
            for label, weight in self.class_weight.items():
                if label not in known:
                    raise ValueError(f"class_weight names the class {label!r}; the classes are {list(known)}")
                by_class[known[label]] = _check.scalar(f"class_weight[{label!r}]", weight, low=0, below=math.inf)
        else:
            raise TypeError(f"class_weight must be None, 'balanced' or a dict by label; got {self.class_weight!r}")
        own = by_class[np.searchsorted(classes, y)]
        return own if sample_weight is None else own * sample_weight


@dataclasses.dataclass(init=False, eq=False, repr=False, kw_only=True)
class Numbers(RegressorMixin, Network):
    """Targets are numbers, one or several an example; the model gives as many."""

    loss: Any = "l2"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch, going on from where the last one ended; ``X`` may hold other examples each time.

        Args:
          X: ``(n, features)`` numbers. y: ``(n,)`` or ``(n, outputs)`` numbers.
          sample_weight: ``(n,)``, at least 0; 1 when None.

        Returns:
          The estimator. So many calls with the same data are one ``fit`` of so many epochs.

        Raises:
          ValueError: data that does not fit what came before; early stopping.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """The model's outputs.

        Args:
          X: ``(n, features)`` numbers.

        Returns:
          ``(n,)`` float64 (computed in float32), or ``(n, outputs)`` where the targets had columns.

        Raises:
          NotFittedError: before ``fit``. ValueError: other features than were fitted.
        """
        outputs = self._outputs(X).astype(np.float64)
        return outputs[:, 0] if self._flat else outputs

    def _loss(self) -> Any:
        return intern(_registry.function(self.loss, "loss"))

    def _metric(self) -> str:
        return "r2"

    def _kind_of_targets(self) -> dict[str, bool]:
        return {"multi_output": True, "y_numeric": True}

    def _outcomes(self, y: np.ndarray, classes: Any) -> tuple[np.ndarray, None]:
        self._flat = y.ndim == 1
        return y.astype(np.float32).reshape(len(y), -1), None
