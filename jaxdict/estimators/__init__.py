"""scikit-learn estimators over ``fit``, and a search that runs candidates and folds as lanes of one program."""

try:
    import sklearn as _sklearn  # noqa: F401  (an extra, which this room is made for)
except ImportError as error:
    raise ImportError("jaxdict.estimators needs scikit-learn 1.6 or later: pip install 'jaxdict[train]'") from error

from jaxdict.estimators._built import Classifier, Regressor
from jaxdict.estimators._mlp import MLPClassifier, MLPRegressor
from jaxdict.estimators._search import LaneSearchCV

__all__ = ["Classifier", "LaneSearchCV", "MLPClassifier", "MLPRegressor", "Regressor"]
