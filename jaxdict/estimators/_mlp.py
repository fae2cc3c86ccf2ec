"""Multilayer perceptrons under scikit-learn's interface."""

import dataclasses
from typing import Any

import numpy as np

from jaxdict import _check, models
from jaxdict.estimators._network import Network
from jaxdict.estimators._targets import Labels, Numbers
from jaxdict.layers import Model


@dataclasses.dataclass(frozen=True)
class _Dropping:
    """A function of the dropout rate that gives the model; equal ones share a compiled program."""

    widths: tuple[int, ...]
    activation: Any

    def __call__(self, dropout: Any) -> Model:
        return models.mlp(self.widths, activation=self.activation, dropout=dropout)


@dataclasses.dataclass(eq=False, repr=False)
class MLP(Network):
    """A network of dense layers with an activation after each hidden one."""

    hidden_layer_sizes: Any = (100,)
    activation: Any = dataclasses.field(default="relu", kw_only=True)
    dropout: float = dataclasses.field(default=0.0, kw_only=True)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The kernels, ``(in, out)``, from the first layer to the last."""
        return [layer["kernel"] for layer in self._layers()]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases, ``(out,)``, from the first layer to the last."""
        return [layer["bias"] for layer in self._layers()]

    def _layers(self) -> list[dict[str, np.ndarray]]:
        params = self.params_  # an AttributeError before fit, as scikit-learn has it
        return [params[f"dense_{number}"] for number in range(1, len(params) + 1)]

    def _widths(self, features: int, outputs: int) -> tuple[int, ...]:
        hidden = self.hidden_layer_sizes
        hidden = [hidden] if np.ndim(hidden) == 0 else list(hidden)
        widths = (_check.integer("a width in hidden_layer_sizes", width, low=1) for width in hidden)
        return (features, *widths, outputs)

    def _model(self, features: int, outputs: int) -> Any:
        if not self._numbers():
            return self._predictor(features, outputs)
        return _Dropping(self._widths(features, outputs), self.activation)

    def _predictor(self, features: int, outputs: int) -> Model:
        return models.mlp(self._widths(features, outputs), activation=self.activation)

    def _numbers(self) -> dict[str, float]:
        # Without dropout no random numbers are drawn: another program.
        rate = _check.scalar("dropout", self.dropout, low=0, below=1)
        return {"dropout": rate} if rate else {}


@dataclasses.dataclass(eq=False, repr=False)
class MLPClassifier(Labels, MLP):
    """Multilayer perceptron that classifies: softmax cross-entropy, trained by ``jaxdict.fit``.

    The parameters that scikit-learn's ``MLPClassifier`` has too mean the same but where it is said otherwise.

    Args:
      hidden_layer_sizes: widths of the hidden layers, or one width; () is multinomial logistic regression.
      activation: of the hidden layers, a name of the dictionary or a function. Kernels start by he_normal for the relu
        family and xavier_uniform for most others, where scikit-learn has Glorot's for all.
      dropout: probability of dropping each hidden unit in training, in [0, 1).
      class_weight: None, a dict by label (1 where it has none), or "balanced"; multiplied into ``sample_weight``.
      optimizer: a name of the dictionary, a function of ``learning_rate``, or an optax transformation (scikit-learn's
        ``solver``). The last has a rate of its own.
      alpha: strength of the L2 penalty: ``alpha / (2·batch_size)`` times the sum of the squared kernels is added to the
        mean loss of each batch, ``batch_size`` being 200 for "auto". scikit-learn divides by the size (or the weight)
        of the batch at hand, so that a smaller last batch, and data of fewer examples than a batch, is penalized more.
      batch_size: examples a step; "auto" is ``min(200, n)``.
      learning_rate_init: the learning rate, for optimizers that have an argument ``learning_rate``.
      max_iter: epochs at most.
      tol, n_iter_no_change: stop after ``n_iter_no_change`` epochs without a loss below the best so far by more than
        ``tol``; it is the training loss without the penalty, or the validation loss with ``early_stopping``.
      early_stopping: hold out ``validation_fraction`` of the examples, class by class, and end with the parameters of
        the epoch of the lowest loss on them, where scikit-learn watches the score.
      validation_fraction: of the examples, in (0, 1).
      warm_start: whether ``fit`` starts from the parameters of the last one, with a new state of the optimizer.
      random_state: an int, which is the key of ``jaxdict.fit``; a RandomState; None for another seed at each fit.

    Attributes:
      classes_, n_features_in_, feature_names_in_, n_outputs_: what was fitted.
      n_iter_: epochs. loss_curve_, best_loss_: training losses by epoch, without the penalty, and the lowest.
      validation_scores_: accuracies on the examples held out, by epoch, with ``early_stopping``.
      params_, state_, coefs_, intercepts_: parameters and state of the model, NumPy arrays.
      run_: the ``jaxdict.Run``; copies and pickles lack it.
    """


@dataclasses.dataclass(eq=False, repr=False)
class MLPRegressor(Numbers, MLP):
    """Multilayer perceptron for numbers, one or several an example, trained by ``jaxdict.fit``.

    Args:
      loss: a loss of the dictionary, ``(predictions, targets) -> (batch,)``, or a function; "l2" is half the squared
        error, summed over the outputs, where scikit-learn's "squared_error" is averaged over them.
      hidden_layer_sizes, activation, dropout, optimizer, alpha, batch_size, learning_rate_init, max_iter, tol,
        n_iter_no_change, early_stopping, validation_fraction, warm_start, random_state: as in ``MLPClassifier``.

    Attributes:
      n_features_in_, feature_names_in_, n_outputs_: what was fitted.
      validation_scores_: R² on the examples held out, by epoch, with ``early_stopping``.
      n_iter_, loss_curve_, best_loss_, params_, state_, coefs_, intercepts_, run_: as in ``MLPClassifier``.
    """
