"""The data set, and what makes new ones of it: splitting and standardizing."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict.data.checks import count_examples

Task = Literal["multiclass", "binary", "regression"]
TASKS = ("multiclass", "binary", "regression")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples with what is known of them.

    Attributes:
      inputs: float32 (n, …).
      targets: int32 (n,) class indices, or float32 (n, …) for regression.
      task: "multiclass", "binary" or "regression".
      feature_names: one name per feature, or empty.
      classes: the name of each class, or empty for regression.
      name: what messages call the data.
      test: the official test part, when the source has one.
    """

    inputs: np.ndarray
    targets: np.ndarray
    task: Task
    feature_names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    name: str = "data"
    test: "Dataset | None" = None

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        kind = f"{self.task}, {len(self.classes)} classes" if self.classes else self.task
        test = f", test {len(self.test)}" if self.test is not None else ""
        return f"Dataset({self.name!r}, inputs {self.inputs.shape}, targets {self.targets.shape}, {kind}{test})"

    def take(self, indices: Any) -> "Dataset":
        """The examples at ``indices``, an array of whole numbers, in that order; without the test part."""
        return dataclasses.replace(self, inputs=self.inputs[indices], targets=self.targets[indices], test=None)


# --- splitting --------------------------------------------------------------------------------------------------------

Data = TypeVar("Data")


def split(data: Data, fraction: float, *, key: Any, stratify: Any = None) -> tuple[Data, Data]:
    """Hold out ``fraction`` of the examples; the same key gives the same split.

    Args:
      data: a data set, or a pair (inputs, targets) of trees of arrays.
      fraction: of the examples, in (0, 1).
      key: a PRNG key or an int.
      stratify: None keeps the proportions of the classes when the targets are labels, True insists on that, False
        ignores classes; an integer array (n,) gives other labels.

    Returns:
      ``(rest, held_out)``, each in the original order; a test part stays with the rest.

    Raises:
      ValueError: fraction out of range, fewer than two examples, targets that are no labels with ``stratify=True``.
    """
    inputs, targets = (data.inputs, data.targets) if isinstance(data, Dataset) else _pair(data)
    count = count_examples(inputs, targets)
    rest, held = split_indices(count, fraction, key=key, labels=_labels(targets, stratify))
    if isinstance(data, Dataset):
        return dataclasses.replace(data.take(rest), test=data.test), data.take(held)  # type: ignore[return-value]  # Data is Dataset here
    return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], (inputs, targets)) for i in (rest, held))  # type: ignore[return-value]  # two pairs


def _labels(targets: Any, stratify: Any) -> Any:
    """The labels whose proportions a split keeps, or None."""
    if stratify is not None and not isinstance(stratify, (bool, np.bool_)):
        return stratify
    if stratify is not False:
        leaf = targets if hasattr(targets, "dtype") else None
        if leaf is not None and leaf.ndim == 1 and np.issubdtype(leaf.dtype, np.integer):
            return leaf
        if stratify:
            raise ValueError("stratify=True needs integer labels of shape (n,) as targets; pass the labels themselves")
    return None


def _classes(labels: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The class of each example, by number, and the classes' sizes."""
    labels = np.asarray(labels)
    if labels.shape != (count,):
        raise ValueError(f"labels must have shape ({count},), one per example; got {labels.shape}")
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return classes, sizes


def _random_order(count: int, key: Any) -> np.ndarray:
    data = np.asarray(jax.random.key_data(_check.prng_key(key)))
    if data.ndim != 1:
        raise ValueError(f"key must be one key; got keys of shape {data.shape[:-1]}")
    return np.random.default_rng(data.tolist()).permutation(count)


def _pair(data: Any) -> tuple[Any, Any]:
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(f"data must be a Dataset or a pair (inputs, targets); got {type(data).__name__}")
    return data[0], data[1]


def folds(data: Any, count: int, *, key: Any, stratify: Any = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions for cross-validation: ``count`` pairs of what is trained on and what is held out, once each.

    Args:
      data, stratify: as in `split`: labels, where there are, are held out in their proportions.
      count: of the parts, whose sizes differ by 1 at most. key: a PRNG key or an int; the same key, the same folds.

    Returns:
      ``(rest, held_out)`` for each part, sorted integers.

    Raises:
      ValueError: fewer than two parts or more than examples, no labels with ``stratify=True``.
    """
    inputs, targets = (data.inputs, data.targets) if isinstance(data, Dataset) else _pair(data)
    examples = count_examples(inputs, targets)
    if not 2 <= _check.integer("count", count) <= examples:
        raise ValueError(f"count must be from 2 to {examples}, the examples; got {count}")
    order = _random_order(examples, key)
    labels = _labels(targets, stratify)
    if labels is not None:
        order = order[np.argsort(_classes(labels, examples)[0][order], kind="stable")]  # class after class
    part = np.empty(examples, int)
    part[order] = np.arange(examples) % count  # dealt like cards
    return [(np.flatnonzero(part != k), np.flatnonzero(part == k)) for k in range(count)]


def split_indices(count: int, fraction: float, *, key: Any, labels: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``(rest, held_out)`` of a split of ``count`` examples, each sorted; see `split`.

    With labels, each class gives its share rounded by largest remainder, so that ``fraction * count`` are held out in
    all; a class of two or more is on both sides, a class of one stays in the rest, even if the total moves by that.

    Raises:
      ValueError: fraction not in (0, 1), fewer than two examples, labels of another length or all different.
    """
    _check.number("fraction", fraction, above=0, below=1)
    count = _check.integer("count", count)
    if count < 2:
        raise ValueError(f"a split needs at least 2 examples; got {count}")
    order = _random_order(count, key)
    total = min(max(math.floor(fraction * count + 0.5), 1), count - 1)
    if labels is None:
        return np.sort(order[total:]), np.sort(order[:total])
    classes, sizes = _classes(labels, count)
    if sizes.max() < 2:
        raise ValueError("every label occurs once, so no class can be on both sides; split with stratify=False")
    quota = _apportion(fraction * sizes, total, np.minimum(sizes - 1, 1), sizes - 1)
    by_class = order[np.argsort(classes[order], kind="stable")]  # class after class, shuffled within each
    rank = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    held = rank < np.repeat(quota, sizes)
    return np.sort(by_class[~held]), np.sort(by_class[held])


def _apportion(shares: np.ndarray, total: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whole numbers near ``shares`` with the sum ``total``, as far as ``low`` and ``high`` let them."""
    quota = np.clip(np.floor(shares).astype(int), low, high)
    while (missing := total - quota.sum()) != 0:
        step = 1 if missing > 0 else -1
        free = quota < high if step > 0 else quota > low
        if not free.any():
            break
        remainder = np.where(free, step * (shares - quota), -np.inf)
        quota[np.argmax(remainder)] += step
    return quota


# --- standardizing ----------------------------------------------------------------------------------------------------


class Standardizer(NamedTuple):
    """Mean and standard deviation of each feature, float64 arrays of the shape of one example."""

    mean: np.ndarray
    std: np.ndarray

    def apply(self, inputs: Any) -> Any:
        """``(inputs - mean) / std`` of shape (n, …), float32; a jax array stays one, and keeps a floating type."""
        return self._map(inputs, lambda x, mean, std: (x - mean) / std)

    def inverse(self, inputs: Any) -> Any:
        """``inputs * std + mean``: undoes `apply` to rounding."""
        return self._map(inputs, lambda x, mean, std: x * std + mean)

    def _map(self, inputs: Any, formula: Callable[[Any, Any, Any], Any]) -> Any:
        if np.shape(inputs)[1:] != np.shape(self.mean):
            raise ValueError(f"inputs must have shape (n, *{np.shape(self.mean)}); got {np.shape(inputs)}")
        if isinstance(inputs, jax.Array):
            x = _check.floating(inputs, name="inputs")
            return formula(x, jnp.asarray(self.mean, x.dtype)[None], jnp.asarray(self.std, x.dtype)[None])
        x = np.asarray(inputs, np.float64)
        return formula(x, np.asarray(self.mean)[None], np.asarray(self.std)[None]).astype(np.float32)


def fit_standardizer(inputs: Any) -> Standardizer:
    """The mean and standard deviation over the examples, (n, …); a constant feature gets standard deviation 1."""
    x = np.asarray(inputs)
    if x.ndim < 1 or not len(x):
        raise ValueError(f"inputs must have shape (n, …) with at least one example; got {x.shape}")
    constant = x.max(axis=0) == x.min(axis=0)
    std = np.std(x, axis=0, dtype=np.float64)
    mean = np.where(constant, x[0], np.mean(x, axis=0, dtype=np.float64))
    return Standardizer(mean.astype(np.float64), np.where(constant, 1.0, std))


def standardize(train: Dataset, *others: Dataset) -> tuple[Dataset, ...]:
    """The data sets with mean 0 and standard deviation 1 per feature of ``train``; its constant features become 0.

    Returns:
      As many data sets as were given, a tuple even for one; test parts are standardized alike.
    """
    scale = fit_standardizer(train.inputs).apply

    def change(data: Dataset) -> Dataset:
        test = change(data.test) if data.test is not None else None
        return dataclasses.replace(data, inputs=scale(data.inputs), test=test)

    return tuple(change(data) for data in (train, *others))
