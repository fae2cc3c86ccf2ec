"""Search over parameters with cross-validation: candidates and folds are lanes of one program."""

import itertools
import time
import traceback
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection import ParameterGrid, ParameterSampler, check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores, _score, _warn_or_raise_about_fit_failures
from sklearn.utils import indexable
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params

from jaxdict import _check
from jaxdict.estimators._network import Network
from jaxdict.estimators._recipe import Recipe
from jaxdict.lanes import fit_lanes


class _Lane(NamedTuple):
    """A candidate on a fold: where its result belongs, its estimator and recipe, the fold's training examples."""

    place: int
    estimator: Network
    recipe: Recipe
    train: np.ndarray


class LaneSearchCV(BaseSearchCV):
    """Grid or random search with cross-validation, by lanes: ``GridSearchCV`` and ``RandomizedSearchCV`` in one.

    Candidates that differ in numbers alone (``learning_rate_init``, ``alpha``, ``dropout`` above 0, ``random_state``)
    are lanes of one program, as are the folds, which are sets of examples of data that is held once; the others
    (``hidden_layer_sizes``, ``optimizer``, options of ``build`` …) are grouped by what they share. Each lane is the
    estimator fitted alone on that fold, bit for bit on the CPU.

    Args:
      estimator: one of ``jaxdict.estimators``. A pipeline takes the search as its last step.
      param_grid: lists by name, or several such dicts; with ``n_iter``, distributions too.
      n_iter: candidates to draw at random; None: the whole grid.
      scoring, refit, cv, return_train_score, error_score: as in ``GridSearchCV``.
      random_state: of the draw.

    Attributes:
      cv_results_, best_estimator_, best_params_, best_score_, best_index_, scorer_, n_splits_, refit_time_,
        multimetric_, classes_, n_features_in_, feature_names_in_: as in ``GridSearchCV``. Fit times are those of the
        epochs of each lane, lanes beside it notwithstanding; compilation is not in them.

    Raises:
      TypeError, ValueError: by ``fit``, before anything is trained.
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        n_iter: int | None = None,
        scoring: Any = None,
        refit: Any = True,
        cv: Any = None,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ):
        super().__init__(
            estimator, scoring=scoring, refit=refit, cv=cv, error_score=error_score,
            return_train_score=return_train_score,
        )  # fmt: skip
        self.param_grid = param_grid
        self.n_iter = n_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> "LaneSearchCV":
        """Score every candidate on every fold, and fit the best on all.

        Args:
          X: ``(n, features)`` numbers. y: ``(n,)`` or ``(n, outputs)``.
          **params: ``sample_weight`` ``(n,)``, given to fits and to scorers that take it; ``groups`` for the splitter.

        Returns:
          The search.

        Raises:
          TypeError: an estimator that is none of ``jaxdict.estimators``, a parameter of fit that it does not take.
          ValueError: parameters or data that cannot be used; all fits failed. KeyboardInterrupt: Ctrl-C.
        """
        self._check_arguments()
        scorers, metric = self._get_scorers()
        X, y = indexable(X, y)
        routed = self._get_routed_params_for_fit(_check_method_params(X, params=params))
        given = routed.estimator.fit
        if strange := set(given) - {"sample_weight"}:
            raise TypeError(f"fit takes sample_weight and groups; got {', '.join(sorted(strange))}")
        cv: Any = self.cv
        splitter: Any = check_cv(cv, y, classifier=is_classifier(self.estimator))
        splits = list(splitter.split(X, y, **routed.splitter.split))
        self.n_splits_ = len(splits)
        candidates = list(self._candidates())
        if not splits or not candidates:
            raise ValueError(f"nothing to fit: {len(candidates)} candidates and {len(splits)} folds")
        fits = list(itertools.product(candidates, splits))
        fitted = self._fit_lanes(X, y, fits, given.get("sample_weight"))
        outcomes = [
            self._outcome(estimator, X, y, split, scorers, routed.scorer.score)
            for estimator, (_, split) in zip(fitted, fits, strict=True)
        ]
        _warn_or_raise_about_fit_failures(outcomes, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(outcomes, self.error_score)
        results = self._format_results(candidates, self.n_splits_, outcomes)
        self.multimetric_ = isinstance(outcomes[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(outcomes[0]["test_scores"])
            metric = self.refit
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, metric, results)
            if not callable(self.refit):
                self.best_score_ = results[f"mean_test_{metric}"][self.best_index_]
            self.best_params_ = results["params"][self.best_index_]
        if self.refit:
            self.best_estimator_ = self._candidate(self.best_params_)
            began = time.time()
            self.best_estimator_.fit(X, y, **given)
            self.refit_time_ = time.time() - began
            if hasattr(self.best_estimator_, "feature_names_in_"):
                self.feature_names_in_ = self.best_estimator_.feature_names_in_
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        self.cv_results_ = results
        return self

    def _check_arguments(self) -> None:
        if not isinstance(self.estimator, Network):
            raise TypeError(
                "LaneSearchCV searches over estimators of jaxdict.estimators: MLPClassifier, MLPRegressor, Classifier "
                f"or Regressor; got {type(self.estimator).__name__}. In a pipeline, make the search the last step; "
                "for other estimators there is sklearn.model_selection.GridSearchCV"
            )
        if self.n_iter is not None:
            _check.integer("n_iter", self.n_iter, low=1)
        self._candidates()  # which checks their form
        known = self.estimator.get_params()
        for space in [self.param_grid] if isinstance(self.param_grid, Mapping) else self.param_grid:
            for name in space:
                if name not in known:
                    raise ValueError(f"the estimator has no parameter {name!r}; {_check.did_you_mean(name, known)}")
        self._validate_params()

    def _candidates(self) -> Any:
        if self.n_iter is None:
            return ParameterGrid(self.param_grid)
        return ParameterSampler(self.param_grid, self.n_iter, random_state=self.random_state)

    def _candidate(self, params: Any) -> Any:
        estimator: Any = clone(self.estimator)
        copies: Any = clone(params, safe=False)
        return estimator.set_params(**copies)

    # ----------------------------------------------------------------------------------------------- the lanes

    def _fit_lanes(self, X: Any, y: Any, fits: Sequence[Any], sample_weight: Any) -> list[Network | str]:
        """For every candidate on every fold its estimator, fitted, or how that failed."""
        whole: Any = clone(self.estimator)
        inputs, targets = whole._validated(X, y)
        weights = whole._sample_weight(sample_weight, inputs)
        features = ("n_features_in_", "feature_names_in_")
        seen = {name: getattr(whole, name) for name in features if hasattr(whole, name)}
        done: list[Any] = [None] * len(fits)
        groups: dict[Any, list[_Lane]] = defaultdict(list)
        for place, (params, (train, _)) in enumerate(fits):
            train = np.asarray(train)
            train = np.flatnonzero(train) if train.dtype == bool else train
            estimator = self._candidate(params)
            vars(estimator).update(seen)
            try:
                recipe = estimator.recipe(targets[train], None if weights is None else weights[train])
            except Exception:
                done[place] = self._failure()
                continue
            classes = None if recipe.classes is None else tuple(recipe.classes.tolist())
            groups[recipe.setting, classes, recipe.weights is None].append(_Lane(place, estimator, recipe, train))
        for lanes in groups.values():
            try:
                runs = _train(inputs, lanes)
            except Exception:
                for lane in lanes:
                    done[lane.place] = self._failure()
                continue
            if any(run.result == "interrupted" for run in runs):
                raise KeyboardInterrupt
            for lane, run in zip(lanes, runs, strict=True):
                done[lane.place] = lane.estimator.take(run, lane.recipe)
        return done

    def _failure(self) -> str:
        """The error at hand as text; it goes on where it should be raised."""
        if self.error_score == "raise":
            raise
        return traceback.format_exc()

    def _outcome(self, estimator: Any, X: Any, y: Any, split: Any, scorers: Any, score_params: Any) -> dict[str, Any]:
        """Scores and times of one lane, as scikit-learn's own searches collect them."""
        train, test = split
        outcome = {"fit_error": None, "fit_time": 0.0, "score_time": 0.0}
        if isinstance(estimator, str):
            names = getattr(scorers, "_scorers", None)
            failed = self.error_score if names is None else dict.fromkeys(names, self.error_score)
            kinds = ["test_scores", "train_scores"] if self.return_train_score else ["test_scores"]
            return outcome | {"fit_error": estimator} | dict.fromkeys(kinds, failed)
        began = time.time()
        outcome["fit_time"] = float(np.sum(estimator.run_.history["seconds"]))
        outcome["test_scores"] = self._scores(estimator, X, y, test, train, scorers, score_params)
        outcome["score_time"] = time.time() - began
        if self.return_train_score:
            outcome["train_scores"] = self._scores(estimator, X, y, train, None, scorers, score_params)
        return outcome

    def _scores(self, estimator: Any, X: Any, y: Any, part: Any, train: Any, scorers: Any, score_params: Any) -> Any:
        inputs, targets = _safe_split(estimator, X, y, part, train)
        own = _check_method_params(X, params=score_params, indices=part)
        return _score(estimator, inputs, targets, scorers, own, error_score=self.error_score)  # type: ignore[arg-type]


def _train(inputs: np.ndarray, lanes: Sequence[_Lane]) -> Any:
    """The runs of lanes that share a program: targets and weights of the folds in one array of all examples."""
    first = lanes[0].recipe
    targets = np.zeros((len(inputs), *first.targets.shape[1:]), first.targets.dtype)
    weights = None if first.weights is None else np.zeros((len(lanes), len(inputs)), np.float32)
    for row, lane in enumerate(lanes):
        targets[lane.train] = lane.recipe.targets
        if weights is not None:
            weights[row, lane.train] = lane.recipe.weights
    held = None if first.hold is None else [lane.train[lane.recipe.hold] for lane in lanes]
    return fit_lanes(
        **first.setting.arguments(),
        data=(inputs, targets),
        keys=[lane.recipe.seed for lane in lanes],
        hyperparameters={name: [lane.recipe.numbers[name] for lane in lanes] for name in first.numbers},
        sample_weight=weights,
        indices=[lane.train[lane.recipe.keep] for lane in lanes],
        validation_indices=held,
    )
