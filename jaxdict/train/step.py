"""The step: one pure update of parameters, model state and optimizer state by one batch."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxdict import _check, _registry, losses, metrics, optimizers, penalties
from jaxdict.layers import Model, child
from jaxdict.models import as_model
from jaxdict.train._given import fill as fill
from jaxdict.train._given import matching as matching
from jaxdict.train.outputs import Column, OutputLosses, OwnLoss, ratio, resolve_loss, weights_as_data
from jaxdict.train.outputs import streams_of as streams_of

_ROOMS = (losses, optimizers, penalties)  # their entries are found by name
PRECISIONS = {"float32": None, "bfloat16": jnp.bfloat16}


class TrainState(NamedTuple):
    """What a step turns into the next: parameters, the model's state, the optimizer's state."""

    params: Any
    state: Any
    optimizer_state: Any


class Batch(NamedTuple):
    """A batch: inputs and targets ``(batch, …)``, optional weights ``(batch,)``, and which examples are there.

    ``present`` is a mask ``(batch,)`` in a batch that was filled up to its size; None when all are there.
    """

    inputs: Any
    targets: Any
    weights: jax.Array | None = None
    present: jax.Array | None = None


class Sums(NamedTuple):
    """What a batch adds to its epoch's row: exact over batches of any size, merged by ``merge_sums``."""

    loss: jax.Array  # weighted sum over the examples
    weight: jax.Array  # what that sum is divided by
    penalty: jax.Array  # summed over the steps, each weighing as its examples
    metrics: dict[str, Any]


class Parts(NamedTuple):
    """The parts of a training objective, with names resolved and hyperparameters filled in."""

    model: Model
    loss: Callable[[Any, Any], jax.Array]
    optimizer: optax.GradientTransformationExtraArgs
    penalty: Callable[[Any], jax.Array] | None
    streams: Mapping[str, Column]
    augment: Callable[[jax.Array, Any], Any] | None = None
    by_count: bool = True
    precision: str | None = None
    accumulation: int = 1


def merge_sums(streams: Mapping[str, Column], a: Sums, b: Sums) -> Sums:
    """The sums of two batches together."""
    merged = {name: stream.merge(a.metrics[name], b.metrics[name]) for name, stream in streams.items()}
    return Sums(a.loss + b.loss, a.weight + b.weight, a.penalty + b.penalty, merged)


def fold_sums(streams: Mapping[str, Column], each: Sums) -> Sums:
    """The sums of batches stacked on a first axis, all together."""

    def fold(merge, stacked):
        if merge is metrics.add:
            return jax.tree.map(lambda x: jnp.sum(x, axis=0), stacked)
        first, rest = (jax.tree.map(lambda x, part=part: x[part], stacked) for part in (0, slice(1, None)))
        return jax.lax.scan(lambda total, one: (merge(total, one), None), first, rest)[0]

    folded = {name: fold(stream.merge, each.metrics[name]) for name, stream in streams.items()}
    return Sums(*(jnp.sum(x) for x in each[:3]), metrics=folded)


def row_of(parts: Parts, sums: Sums) -> dict[str, jax.Array]:
    """The row of history that the sums stand for: float32 scalars by column."""
    row = {"loss": ratio(sums.loss, sums.weight)}
    if parts.penalty is not None:
        row["penalty"] = ratio(sums.penalty, sums.weight)
    return row | {name: stream.value(sums.metrics[name]) for name, stream in parts.streams.items()}


def batch_weight(batch: Batch, by_count: bool) -> jax.Array:
    """What the loss of a batch is divided by: its number of examples, or the sum of their weights."""
    size = jax.tree.leaves(batch.inputs)[0].shape[0]
    if by_count or batch.weights is None:
        return jnp.float32(size) if batch.present is None else jnp.sum(batch.present, dtype=jnp.float32)
    weights = batch.weights if batch.present is None else jnp.where(batch.present, batch.weights, 0)
    return jnp.sum(weights, dtype=jnp.float32)


def data_loss(loss: Callable, outputs: Any, batch: Batch) -> jax.Array:
    """The weighted sum of the examples' losses: float32 (float64 under x64), absent examples left out."""
    values = loss(outputs, batch.targets)
    size = jax.tree.leaves(batch.inputs)[0].shape[0]
    if values.ndim == 0 or values.shape[0] != size:
        name = getattr(loss, "__name__", "the loss")
        raise ValueError(f"{name} must give one value an example, shape ({size},); got {values.shape}")
    values = values.reshape(size, -1).mean(axis=1) if values.ndim > 1 else values
    values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
    if batch.weights is not None:
        _check.same_shape("losses of examples", values, "sample weights", batch.weights)
        values = values * batch.weights
    return jnp.sum(values if batch.present is None else jnp.where(batch.present, values, 0))


def example_weights(batch: Batch) -> jax.Array:
    """How the examples count in metrics: 1 for each that is there. Sample weights shape the loss alone."""
    size = jax.tree.leaves(batch.inputs)[0].shape[0]
    return jnp.ones(size) if batch.present is None else batch.present.astype(jnp.float32)


def measure(parts: Parts, outputs: Any, batch: Batch) -> dict[str, Any]:
    """The sums of every metric over one batch."""
    weights = example_weights(batch)
    return {
        name: _own_loss(parts, stream.output, outputs, batch)
        if isinstance(stream, OwnLoss)
        else stream.sums(outputs, batch.targets, weights)
        for name, stream in parts.streams.items()
    }


def _own_loss(parts: Parts, output: str, outputs: Any, batch: Batch) -> dict[str, jax.Array]:
    """The loss of one output, weighing examples and divided as the whole loss."""
    assert isinstance(parts.loss, OutputLosses)
    total = data_loss(parts.loss.alone(output), outputs, batch)
    return {"total": total, "weight": batch_weight(batch, parts.by_count)}


def cast(tree: Any, dtype: Any) -> Any:
    """``tree`` with its floating leaves in ``dtype``; None leaves it as it is."""
    if dtype is None:
        return tree
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def build_update(parts: Parts, *, scale: jax.Array | None = None) -> Callable[..., tuple[TrainState, Sums]]:
    """The update of one batch, ``(train, batch, key) -> (train, sums)``, giving the sums that its epoch adds up.

    The optimizer's updates are multiplied by ``scale``, where there is one.
    """
    dtype = PRECISIONS[parts.precision or "float32"]
    optimizer = optax.with_extra_args_support(parts.optimizer)

    def objective(params, state, batch, weight, share, key):
        inputs = batch.inputs
        if parts.augment is not None:
            inputs = parts.augment(child(key, "augment"), inputs)
        outputs, new_state = parts.model.apply(
            cast(params, dtype), state, cast(inputs, dtype), key=child(key, "model"), train=True
        )
        outputs = cast(outputs, None if dtype is None else jnp.float32)
        total = data_loss(parts.loss, outputs, batch)
        penalty = jnp.float32(0) if parts.penalty is None else parts.penalty(params)
        sums = Sums(total, weight * share, penalty * weight * share, measure(parts, outputs, batch))
        # A batch whose weights are all zero teaches nothing, rather than NaN.
        return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1), 0.0) + penalty * share, (new_state, sums)

    gradient = jax.value_and_grad(objective, has_aux=True)

    def update(train: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Sums]:
        weight = batch_weight(batch, parts.by_count)
        size = jax.tree.leaves(batch.inputs)[0].shape[0]
        at = optimizers.lookahead_params(
            train.params, train.optimizer_state, strict=False
        )  # the parameters, for most optimizers
        pieces = parts.accumulation if size % parts.accumulation == 0 else 1
        if pieces == 1:
            (value, (state, sums)), grads = gradient(at, train.state, batch, weight, 1.0, key)
        else:
            micro = jax.tree.map(lambda x: x.reshape(pieces, size // pieces, *x.shape[1:]), batch)

            def add(carry, piece):
                value, state, sums, grads = carry
                index, one = piece
                (v, (state, s)), g = gradient(at, state, one, weight, 1.0 / pieces, jax.random.fold_in(key, index))
                grads = jax.tree.map(jnp.add, grads, g)
                return (value + v, state, merge_sums(parts.streams, sums, s), grads), None

            first = jax.tree.map(lambda x: x[0], micro)
            (v, (state, s)), g = gradient(at, train.state, first, weight, 1.0 / pieces, jax.random.fold_in(key, 0))
            rest = (jnp.arange(1, pieces), jax.tree.map(lambda x: x[1:], micro))
            (value, state, sums, grads), _ = jax.lax.scan(add, (v, state, s, g), rest)

        def value_fn(params):  # for line searches and second derivatives
            return objective(params, train.state, batch, weight, 1.0, key)[0]

        updates, optimizer_state = optimizer.update(
            grads, train.optimizer_state, train.params, value=value, grad=grads, value_fn=value_fn
        )
        if scale is not None:
            updates = jax.tree.map(lambda u: (u * scale).astype(u.dtype), updates)
        return TrainState(optax.apply_updates(train.params, updates), state, optimizer_state), sums

    return update


def build_evaluate(parts: Parts) -> Callable[[Any, Any, Batch], Sums]:
    """The sums of one batch without training: running statistics, no noise, no penalty, sample weights in the loss."""
    dtype = PRECISIONS[parts.precision or "float32"]

    def evaluate(params, state, batch: Batch) -> Sums:
        outputs, _ = parts.model.apply(cast(params, dtype), state, cast(batch.inputs, dtype), train=False)
        outputs = cast(outputs, None if dtype is None else jnp.float32)
        weight = batch_weight(batch, parts.by_count)
        return Sums(data_loss(parts.loss, outputs, batch), weight, jnp.float32(0), measure(parts, outputs, batch))

    return evaluate


def resolve_optimizer(optimizer: Any, **options: Any) -> Any:
    """An optax transformation from one, from an optimizer's name, or from a function that makes one."""
    optimizer = _registry.function(optimizer, "optimizer")
    if hasattr(optimizer, "update") and hasattr(optimizer, "init"):
        return optimizer
    if not callable(optimizer):
        raise TypeError(f"optimizer must be an optax transformation, a name or a function; got {optimizer!r}")
    made = optimizer(**options)
    if not (hasattr(made, "update") and hasattr(made, "init")):
        raise TypeError(f"the optimizer function must give an optax transformation; got {type(made).__name__}")
    return made


def make_step(
    model: Any,
    loss: Any,
    optimizer: Any,
    *,
    metrics: Any = None,
    penalty: Callable[[Any], jax.Array] | None = None,
    weight_normalization: str = "count",
    loss_weights: Mapping[str, Any] | None = None,
    precision: str | None = None,
    accumulation: int = 1,
) -> Callable[[TrainState, Any, Any], tuple[TrainState, dict[str, jax.Array]]]:
    """The pure step for one's own loop: jit it, scan it, vmap it.

    Args:
      model: a Model or ``(init, apply)`` pair.
      loss: a name, or ``(predictions, targets) -> (batch, …)`` values; a dict of such by output, of several.
      optimizer: an optax transformation, or the name of an optimizer with default arguments.
      metrics: names or functions, one, a sequence or a dict by column name; by output, of several.
      penalty: ``params -> scalar``, added to the loss.
      weight_normalization: "count" or "weights", what a weighted loss is divided by.
      loss_weights: numbers by output, 1 where there is none; they may be traced.
      precision: None, "float32" or "bfloat16", the type of the forward and backward pass; parameters stay as they are.
      accumulation: micro-batches that a batch is split into; the gradient is the whole batch's, to rounding.

    Returns:
      ``step(train_state, batch, key) -> (train_state, metrics)``; batch is ``(inputs, targets)`` with an optional
      third part, the weights ``(batch,)``; metrics are float32 scalars by name, ``loss`` among them, and ``loss_main``
      for an output ``main`` with a loss of its own. With ``jax.jit(step, donate_argnums=0)`` it updates in place. jax
      hands donated buffers to results in their order: what wraps it should return parameters and state in the order it
      takes them, or all are copied.

    Raises:
      KeyError: an unknown name, with the closest ones. ValueError, TypeError: an argument out of its range.
    """
    found = resolve_loss(loss)
    parts = Parts(
        model=as_model(model),
        loss=fill(found, weights_as_data(None, loss_weights, loss), skip=2),
        optimizer=resolve_optimizer(optimizer),
        penalty=penalty,
        streams=streams_of(metrics, loss=found),
        by_count=_check.one_of("weight_normalization", weight_normalization, ["count", "weights"]) == "count",
        precision=_check.one_of("precision", precision, [None, *PRECISIONS]),
        accumulation=_check.integer("accumulation", accumulation, low=1),
    )
    update = build_update(parts)

    def step(train_state: TrainState, batch: Any, key: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        new, sums = update(train_state, Batch(*batch), _check.prng_key(key))
        return new, row_of(parts, sums)

    return step
