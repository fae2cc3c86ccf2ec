"""What an estimator asks of ``fit``, and a run that goes on from what an estimator holds."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import penalties
from jaxdict.layers import Model
from jaxdict.run import Run
from jaxdict.runner import Job, fit
from jaxdict.train import TrainState
from jaxdict.train.segment import Carry

BATCHES = (32, 256, 1024)  # examples predicted at once: few sizes, few compilations


def penalty(params: Any, l2_strength: Any) -> jax.Array:
    """``l2_strength`` times the sum of the squared weights, biases and other vectors left out."""
    return penalties.l2(params, l2_strength, mask=lambda tree: jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, tree))


class Setting(NamedTuple):
    """All that is static about an estimator's training: equal settings share one compiled program."""

    model: Any  # a Model, or a function of hyperparameters that gives one
    loss: Any
    optimizer: Any
    observers: tuple
    metrics: str | None
    batch_size: int
    epochs: int

    def arguments(self) -> dict[str, Any]:
        """Arguments of ``fit`` and ``fit_lanes``."""
        return self._asdict() | {"penalty": penalty, "weight_normalization": "weights"}


class Recipe(NamedTuple):
    """An estimator's training on examples that it has seen the targets of, not yet the inputs.

    ``keep`` are the positions of the examples that it trains on, ``hold`` of those that it is validated on, or None;
    ``numbers`` are the hyperparameters that are data of the program.
    """

    setting: Setting
    numbers: dict[str, float]
    seed: int
    classes: np.ndarray | None
    targets: np.ndarray
    weights: np.ndarray | None
    keep: np.ndarray
    hold: np.ndarray | None

    def run(self, inputs: np.ndarray, **options: Any) -> Run:
        """The run by ``fit`` alone; ``options`` are more of its arguments."""
        return fit(**self._arguments(inputs), **options)

    def run_on(self, inputs: np.ndarray, leaves: list[np.ndarray], epoch: int) -> Run:
        """One epoch from the state after ``epoch``, which may have come from other examples."""
        bound = inspect.signature(fit).bind(**self._arguments(inputs) | {"epochs": epoch + 1})
        bound.apply_defaults()
        return _Continued(bound.arguments, leaves, epoch).run()

    def _arguments(self, inputs: np.ndarray) -> dict[str, Any]:
        whole = len(self.keep) == len(inputs)
        kept, targets, weights = (
            x if x is None or whole else x[self.keep] for x in (inputs, self.targets, self.weights)
        )
        held = None if self.hold is None else (inputs[self.hold], self.targets[self.hold])
        return self.setting.arguments() | {
            "data": (kept, targets), "sample_weight": weights, "validation": held, "key": self.seed,
            "hyperparameters": self.numbers,
        }  # fmt: skip


class _Continued(Job):
    """A run that starts from the leaves of a state of training instead of the model's init."""

    def __init__(self, arguments: dict[str, Any], leaves: list[np.ndarray], epoch: int):
        super().__init__(arguments)
        self._leaves, self._epoch = leaves, epoch

    def start(self) -> Carry:
        carry = super().start()
        first, tree = jax.tree.flatten(carry.train)
        if [x.shape for x in map(to_host, first)] != [x.shape for x in self._leaves]:
            raise ValueError("cannot go on: the model or the optimizer is another than it was; fit starts anew")
        train = jax.tree.unflatten(tree, map(_to_device, self._leaves, first))
        return carry._replace(train=train, epoch=jnp.int32(self._epoch))


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_host(leaf: Any) -> np.ndarray:
    """``leaf`` as NumPy's, a PRNG key as its bits."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _to_device(leaf: np.ndarray, like: Any) -> jax.Array:
    """A copy of what ``to_host`` gave, as ``like`` is: the next segment takes its memory."""
    return jax.random.wrap_key_data(jnp.array(leaf)) if _is_key(like) else jnp.array(leaf, like.dtype)


def leaves_of(run: Run) -> list[np.ndarray]:
    """The state of training that ``run`` ended with, as a list of NumPy arrays."""
    return [to_host(leaf) for leaf in jax.tree.leaves(TrainState(run.params, run.state, run.optimizer_state))]


def predict(model: Model, params: Any, state: Any, inputs: np.ndarray) -> np.ndarray:
    """The model's outputs for any number of examples, in batches of few sizes."""
    forward = _forward(model)
    size = next((s for s in BATCHES if len(inputs) <= s), BATCHES[-1])
    parts = []
    for start in range(0, len(inputs), size):
        part = inputs[start : start + size]
        padded = np.pad(part, [(0, size - len(part)), (0, 0)])
        parts.append(np.asarray(forward(params, state, padded))[: len(part)])
    return np.concatenate(parts)


@functools.lru_cache(maxsize=64)
def _forward(model: Model) -> Callable[..., jax.Array]:
    return jax.jit(lambda params, state, inputs: model.apply(params, state, inputs, train=False)[0])
