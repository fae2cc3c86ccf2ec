"""Keras's classes of losses: a function of examples, weights, and the reduction to one number."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _cache, _check
from jaxdict.compat._docs import completed
from jaxdict.compat.keras.losses import functions
from jaxdict.compat.keras.losses.functions import OPTIONS, labels_of, same_rank

Reduction: TypeAlias = Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] | None

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


@dataclasses.dataclass(frozen=True, eq=False)
class Loss:
    """A Keras loss: ``loss(y_true, y_pred, sample_weight=None)``, reduced.

    Attributes:
      function: ``(y_true, y_pred) -> (...)``, the losses of examples.
      reduction: how they become one number.
      ignored: the label that does not count, or None.
    """

    function: Callable[..., jax.Array]
    reduction: Reduction = "sum_over_batch_size"
    ignored: int | None = None

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> jax.Array:
        """The reduced loss, or with the reduction None the loss of each example.

        Args:
          y_true: targets.
          y_pred: predictions.
          sample_weight: a factor for each example, of the losses' shape, or with axes of length 1.

        Returns:
          A scalar, or ``(...)``; at least float32. Where the divisor is 0, so is the mean.

        Raises:
          ValueError: shapes that do not fit. TypeError: complex input.
        """
        values = self.function(y_true, y_pred)
        weights = self._weights(y_true, jnp.ndim(y_pred), values, sample_weight)
        total = values
        if weights is not None:
            values, weights = same_rank(values, weights)
            try:
                total = values * jnp.broadcast_to(weights, values.shape)
            except ValueError as error:
                raise ValueError(
                    f"sample_weight must fit the losses' shape {values.shape}; got {weights.shape}"
                ) from error
        if self.reduction in (None, "none") or values.shape in ((), (0,)):
            return total
        if self.reduction == "sum":
            return jnp.sum(total)
        divisor = jnp.asarray(values.size, values.dtype)
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            divisor = jnp.sum(weights)
        return jnp.where(divisor == 0, 0, jnp.sum(total) / jnp.where(divisor == 0, 1, divisor))

    def of_examples(self, predictions: ArrayLike, targets: ArrayLike) -> jax.Array:
        """The losses of examples with the predictions first, as jaxdict's ``fit`` takes them."""
        return self.function(targets, predictions)

    def _weights(self, y_true: Any, rank: int, values: jax.Array, sample_weight: Any) -> jax.Array | None:
        """The weights of examples; those that are ignored have 0, and in a plain mean do not count."""
        weights = None if sample_weight is None else jnp.asarray(sample_weight, values.dtype)
        if self.ignored is None:
            return weights
        kept = labels_of(y_true, rank, -1) != self.ignored
        mask = kept.astype(values.dtype)
        if self.reduction in ("sum_over_batch_size", "mean"):
            valid = jnp.sum(mask)
            mask = mask * jnp.where(valid == 0, 0, mask.size / jnp.where(valid == 0, 1, valid))
        if weights is None:
            return mask
        mask, weights = same_rank(mask, weights)
        return mask * jnp.broadcast_to(weights, mask.shape)


_documented = completed(
    {
        **OPTIONS,
        "reduction": '"sum_over_batch_size", "mean": over all losses; "mean_with_sample_weight": over the sum of '
        'weights; "sum"; "none" or None.',
        "name": "not used.",
        "dtype": "not used: losses come in float32 at least.",
    },
    returns="A `Loss`, ``(y_true, y_pred, sample_weight=None) -> scalar``.",
    raises="ValueError: an unknown reduction; at the call, shapes that do not fit, or a number out of range.",
)
_SHARED = {"reduction": "sum_over_batch_size", "name": None, "dtype": None}


def _class(name: str, function: Callable[..., jax.Array], *, after: tuple[str, ...] = ()) -> Callable[..., Loss]:
    """The constructor of the `Loss` of ``function``: its options, then what all have; ``after`` the reduction some."""
    options = {p.name: p.default for p in list(inspect.signature(function).parameters.values())[2:]}
    late = {option: options[option] for option in after}
    early = {option: value for option, value in options.items() if option not in late}
    ordered = {**early, "reduction": _SHARED["reduction"], **late, **_SHARED}
    signature = inspect.Signature(
        [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=v) for n, v in ordered.items()],
        return_annotation=Loss,
    )

    def build(*args: Any, **given: Any) -> Loss:
        bound = signature.bind(*args, **given)
        bound.apply_defaults()
        own = {option: bound.arguments[option] for option in options}
        reduction = _check.one_of("reduction", bound.arguments["reduction"], _REDUCTIONS)
        return Loss(functools.partial(function, **own), reduction, own.get("ignore_class"))

    build.__name__ = build.__qualname__ = name
    build.__signature__ = signature  # type: ignore[attr-defined]  # what help() and inspect show
    build.__doc__ = (function.__doc__ or "").partition("\n")[0]
    return _cache.constructor(_documented(build))


MeanSquaredError = _class("MeanSquaredError", functions.mean_squared_error)
MeanAbsoluteError = _class("MeanAbsoluteError", functions.mean_absolute_error)
MeanAbsolutePercentageError = _class("MeanAbsolutePercentageError", functions.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _class("MeanSquaredLogarithmicError", functions.mean_squared_logarithmic_error)
Huber = _class("Huber", functions.huber)
LogCosh = _class("LogCosh", functions.log_cosh)
CosineSimilarity = _class("CosineSimilarity", functions.cosine_similarity)
Poisson = _class("Poisson", functions.poisson)
Hinge = _class("Hinge", functions.hinge)
SquaredHinge = _class("SquaredHinge", functions.squared_hinge)
CategoricalHinge = _class("CategoricalHinge", functions.categorical_hinge)
KLDivergence = _class("KLDivergence", functions.kl_divergence)
BinaryCrossentropy = _class("BinaryCrossentropy", functions.binary_crossentropy)
BinaryFocalCrossentropy = _class("BinaryFocalCrossentropy", functions.binary_focal_crossentropy)
CategoricalCrossentropy = _class("CategoricalCrossentropy", functions.categorical_crossentropy)
CategoricalFocalCrossentropy = _class("CategoricalFocalCrossentropy", functions.categorical_focal_crossentropy)
SparseCategoricalCrossentropy = _class(
    "SparseCategoricalCrossentropy", functions.sparse_categorical_crossentropy, after=("axis",)
)

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge",
]  # fmt: skip
