"""What all estimators share: training parameters, ``fit`` and ``partial_fit``, what a pickle holds."""

import dataclasses
import math
import numbers
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from jaxdict import _check, _registry
from jaxdict.data import split_indices
from jaxdict.estimators._recipe import Recipe, Setting, leaves_of, predict, to_host
from jaxdict.intake import outputs_of
from jaxdict.layers import Model
from jaxdict.run import Run
from jaxdict.runner import intern
from jaxdict.train import observers
from jaxdict.train.step import matching

AUTO_BATCH = 200


class _Fitted(BaseEstimator):
    """What ``fit`` leaves behind."""

    n_features_in_: int
    n_outputs_: int
    n_iter_: int
    classes_: np.ndarray
    params_: Any
    state_: Any
    loss_curve_: list[float]
    best_loss_: float
    validation_scores_: list[float]
    run_: Run
    _seed: int
    _leaves: list[np.ndarray]


@dataclasses.dataclass(eq=False, repr=False, kw_only=True)
class Network(_Fitted):
    """A model trained by ``fit``. Subclasses say which model, which loss, and what targets mean."""

    optimizer: Any = "adam"
    alpha: float = 1e-4
    batch_size: int | str = "auto"
    learning_rate_init: float = 1e-3
    max_iter: int = 200
    tol: float = 1e-4
    n_iter_no_change: int = 10
    early_stopping: bool = False
    validation_fraction: float = 0.1
    warm_start: bool = False
    random_state: Any = None

    # ------------------------------------------------------------------------------------- what subclasses say

    def _model(self, features: int, outputs: int) -> Any:
        """The model to train: a Model, or a function of the numbers that ``_numbers`` gives."""
        return self._predictor(features, outputs)

    def _predictor(self, features: int, outputs: int) -> Model:
        """The model to predict with."""
        raise NotImplementedError

    def _loss(self) -> Any:
        raise NotImplementedError

    def _metric(self) -> str:
        """What ``validation_scores_`` holds."""
        raise NotImplementedError

    def _numbers(self) -> dict[str, float]:
        """Hyperparameters of the model that are data of the program."""
        return {}

    def _outcomes(self, y: np.ndarray, classes: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """Targets as the loss takes them, and the classes, if there are any."""
        raise NotImplementedError

    def _weights(self, y: np.ndarray, classes: Any, sample_weight: np.ndarray | None) -> np.ndarray | None:
        """What the examples weigh, by all that weighs them."""
        return sample_weight

    # ----------------------------------------------------------------------------------------------- training

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train on ``X`` and ``y``, from the start, or with ``warm_start`` from the parameters of the last fit.

        Args:
          X: ``(n, features)`` numbers, computed with as float32.
          y: ``(n,)`` labels or targets; ``(n, outputs)`` for a regression.
          sample_weight: ``(n,)``, at least 0; 1 when None. Losses are averaged by it, batch by batch.

        Returns:
          The estimator. A run that meets NaN keeps the last finite parameters and warns.

        Raises:
          ValueError, TypeError, KeyError: a parameter or data that cannot be used, before anything is trained.
        """
        inputs, y = self._validated(X, y)
        again = self.warm_start and hasattr(self, "params_")
        recipe = self.recipe(y, self._sample_weight(sample_weight, inputs))
        if again:
            self._check_same(recipe)
        options = {"params": self.params_, "state": self.state_} if again else {}
        return self.take(recipe.run(inputs, **options), recipe)

    def _partial_fit(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        """One epoch more, on examples that may be others: parameters and the optimizer's state go on."""
        if self.early_stopping:
            raise ValueError("partial_fit is one epoch and cannot stop early; set early_stopping=False")
        first = not hasattr(self, "params_")
        inputs, y = self._validated(X, y, reset=first)
        known = classes if first else getattr(self, "classes_", None)
        recipe = self.recipe(y, self._sample_weight(sample_weight, inputs), known)
        if first:
            return self.take(recipe._replace(setting=recipe.setting._replace(epochs=1)).run(inputs), recipe)
        recipe = recipe._replace(seed=self._seed)
        run = recipe.run_on(inputs, self._leaves, self.n_iter_)
        return self.take(run, recipe, before=self.loss_curve_)

    def _validated(self, X: Any, y: Any, reset: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """``X`` as float32 and ``y`` as an array, checked as scikit-learn does."""
        checked: Any = validate_data(self, X, y, reset=reset, dtype=np.float32, order="C", **self._kind_of_targets())
        return checked

    def _kind_of_targets(self) -> dict[str, bool]:
        return {}

    def _sample_weight(self, sample_weight: Any, inputs: np.ndarray) -> np.ndarray | None:
        if sample_weight is None:
            return None
        return _check_sample_weight(sample_weight, inputs, dtype=np.float32, ensure_non_negative=True)

    def recipe(self, y: np.ndarray, sample_weight: np.ndarray | None, classes: Any = None) -> Recipe:
        """What training on examples with these targets and weights asks of ``fit``; parameters are checked here.

        Args:
          y: ``(n, …)``, as scikit-learn's checks leave them. sample_weight: ``(n,)`` or None.
          classes: all that there are, where ``y`` need not hold them all.

        Returns:
          The Recipe.

        Raises:
          ValueError, TypeError, KeyError: a parameter that cannot be used, or targets that do not fit.
        """
        rate = _check.scalar("learning_rate_init", self.learning_rate_init, above=0, below=math.inf)
        alpha = _check.scalar("alpha", self.alpha, low=0, below=math.inf)
        patience = _check.integer("n_iter_no_change", self.n_iter_no_change, low=1)
        tol = _check.scalar("tol", self.tol, low=0)
        stops = _check.one_of("early_stopping", self.early_stopping, [False, True])
        batch_size = self._batch_size()
        targets, classes = self._outcomes(y, classes)
        outputs = targets.shape[1] if classes is None else len(classes)
        model = self._model(self.n_features_in_, outputs)
        self._check_outputs(outputs)
        optimizer = intern(_registry.function(self.optimizer, "optimizer"))
        takes_rate = not hasattr(optimizer, "update") and matching(optimizer, {"learning_rate": rate})
        seed = self._draw_seed()
        keep, hold = np.arange(len(y)), None
        if stops:
            fraction = _check.scalar("validation_fraction", self.validation_fraction, above=0, below=1)
            keep, hold = split_indices(len(y), fraction, key=seed, labels=None if classes is None else targets)
        watch = observers.early_stopping(
            monitor="validation_loss" if stops else "loss", patience=patience, min_delta=tol, restore_best=bool(stops)
        )
        setting = Setting(
            model, self._loss(), optimizer, (watch,), self._metric() if stops else None, batch_size,
            _check.integer("max_iter", self.max_iter, low=1),
        )  # fmt: skip
        own = (
            self._numbers()
            | {"l2_strength": alpha / (2 * batch_size)}
            | ({"learning_rate": rate} if takes_rate else {})
        )
        return Recipe(setting, own, seed, classes, targets, self._weights(y, classes, sample_weight), keep, hold)

    def _batch_size(self) -> int:
        if isinstance(self.batch_size, str):
            _check.one_of("batch_size", self.batch_size, ["auto"])
            return AUTO_BATCH  # fit cuts it to the number of examples
        return _check.integer("batch_size", self.batch_size, low=1)

    def _check_outputs(self, outputs: int) -> None:
        example = jax.ShapeDtypeStruct((1, self.n_features_in_), np.float32)
        made = outputs_of(self._predictor(self.n_features_in_, outputs), example)
        if getattr(made, "shape", None) != (1, outputs):
            raise ValueError(
                f"the model must give (n, {outputs}) for (n, {self.n_features_in_}); got {getattr(made, 'shape', made)}"
            )

    def _check_same(self, recipe: Recipe) -> None:
        """A warm start needs the classes and the shapes of the last fit."""
        if recipe.classes is not None and not np.array_equal(recipe.classes, self.classes_):
            raise ValueError(f"warm_start needs the classes of the last fit, {self.classes_}; got {recipe.classes}")
        outputs = recipe.targets.shape[1] if recipe.classes is None else len(recipe.classes)
        model = self._predictor(self.n_features_in_, outputs)
        made = jax.eval_shape(lambda key: model.init(key, (self.n_features_in_,))[:2], jax.random.key(0))
        if jax.tree.map(jnp.shape, made) != jax.tree.map(jnp.shape, (self.params_, self.state_)):
            raise ValueError("warm_start needs a model of the same shapes as the last fit's; set warm_start=False")

    def _draw_seed(self) -> int:
        source = check_random_state(self.random_state)
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        return int(source.randint(2**31 - 1))

    def take(self, run: Run, recipe: Recipe, before: list[float] | None = None) -> Any:
        """Become fitted by ``run``, which followed ``recipe``, after epochs with the losses ``before``.

        Args:
          run: the run that has ended. recipe: what it was made from. before: losses of earlier epochs.

        Returns:
          The estimator. It warns where the run diverged.

        Raises:
          AssertionError: a run that has no parameters.
        """
        self.run_ = run
        self._seed = recipe.seed
        self._leaves = leaves_of(run)
        self.params_, self.state_ = jax.tree.map(to_host, (run.params, run.state))
        self.n_iter_ = run.epoch
        self.n_outputs_ = recipe.targets.shape[1] if recipe.classes is None else len(recipe.classes)
        self.loss_curve_ = [*(before or []), *run.history["loss"].tolist()]
        self.best_loss_ = min(filter(math.isfinite, self.loss_curve_), default=math.nan)
        if recipe.classes is not None:
            self.classes_ = recipe.classes
        if recipe.hold is not None:
            self.validation_scores_ = run.history[f"validation_{self._metric()}"].tolist()
        if run.result == "diverged":
            warnings.warn(run.message, ConvergenceWarning, stacklevel=3)
        return self

    # ------------------------------------------------------------------------------------ predictions, pickles

    def _outputs(self, X: Any) -> np.ndarray:
        """The model's outputs ``(n, outputs)``."""
        check_is_fitted(self, "params_")
        inputs: Any = validate_data(self, X, reset=False, dtype=np.float32, order="C")
        return predict(self._predictor(self.n_features_in_, self.n_outputs_), self.params_, self.state_, inputs)

    def __getstate__(self) -> dict[str, Any]:
        """All but the run, which holds compiled programs and the data: a copy predicts and trains on without it."""
        held: Any = super().__getstate__()
        return {name: value for name, value in held.items() if name != "run_"}
