"""Several outputs: a loss for each, their weights as data, and metrics by output."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry, metrics
from jaxdict.losses import total

_WEIGHT = "loss_weights."  # what a weight is called among the hyperparameters, before the output's name
_RESERVED = ("loss", "penalty", "epoch")  # columns that are there already


@dataclasses.dataclass(frozen=True)
class OutputLosses:
    """A loss for each output; what is trained is their weighted sum.

    Attributes:
      losses: pairs of an output's name and its loss.
      weights: pairs of an output's name and a number, which may be traced; 1 for the others.
    """

    losses: tuple[tuple[str, Callable], ...]
    weights: tuple[tuple[str, Any], ...] = ()

    def __call__(self, predictions: Any, targets: Any) -> jax.Array:
        """The weighted sum, ``(batch,)``; predictions and targets are dicts by output."""
        weights = {name: dict(self.weights).get(name, 1.0) for name, _ in self.losses} if self.weights else None
        given = [
            {name: part_of(tree, name, what) for name, _ in self.losses}
            for tree, what in ((predictions, "outputs"), (targets, "targets"))
        ]
        return total({name: _per_example(name, loss) for name, loss in self.losses}, *given, loss_weights=weights)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """What the weights are called among the hyperparameters."""
        return tuple(_WEIGHT + name for name, _ in self.losses)

    def weighted(self, hyperparameters: Mapping[str, Any]) -> "OutputLosses":
        """The losses with those weights that are among the hyperparameters."""
        found = ((name, hyperparameters.get(_WEIGHT + name)) for name, _ in self.losses)
        return OutputLosses(self.losses, tuple((name, weight) for name, weight in found if weight is not None))

    def alone(self, output: str) -> "OutputLosses":
        """The loss of one output, which weighs 1."""
        return OutputLosses(tuple((name, loss) for name, loss in self.losses if name == output))


def part_of(tree: Any, name: str, what: str) -> Any:
    """The part of outputs or targets that is called ``name``; a ValueError with the closest name."""
    if not isinstance(tree, Mapping):
        raise ValueError(f"{what} must be a dict by output, as the loss is; got {type(tree).__name__}")
    if name not in tree:
        raise ValueError(f"there is no {name!r} among the {what}; {_check.did_you_mean(name, map(str, tree))}")
    return tree[name]


def _per_example(name: str, loss: Callable) -> Callable[[Any, Any], jax.Array]:
    """``loss`` as one value an example, the mean over later axes."""

    def values(predictions, targets):
        found = loss(predictions, targets)
        if not found.ndim:
            raise ValueError(f"the loss of output {name!r} must give one value an example; got a single number")
        return jnp.mean(found, axis=tuple(range(1, found.ndim))) if found.ndim > 1 else found

    return values


def resolve_loss(loss: Any, *, each: Callable[[Any], Any] = lambda loss: loss) -> Any:
    """A loss by name or function, or one for each output by the outputs' names.

    Args:
      loss: a name, a function ``(predictions, targets) -> (batch, …)``, or a dict of such by output.
      each: what is done to each function.

    Returns:
      A function of predictions and targets; of a dict, OutputLosses.

    Raises:
      KeyError: an unknown name, with the closest. ValueError: an empty dict. TypeError: an output's name that is none.
    """
    if not isinstance(loss, Mapping):
        return each(_registry.function(loss, "loss"))
    if not loss:
        raise ValueError("the dict of losses by output is empty")
    for name in loss:
        if not isinstance(name, str):
            raise TypeError(f"losses by output are keyed by the outputs' names; got {name!r}")
    return OutputLosses(tuple((name, each(_registry.function(one, "loss"))) for name, one in loss.items()))


def weights_as_data(hyperparameters: Mapping[str, Any] | None, loss_weights: Any, loss: Any) -> dict[str, Any]:
    """The hyperparameters, the weights of the outputs' losses among them as ``loss_weights.output``.

    Raises:
      ValueError: weights without losses by output, for an output without a loss, or given twice.
      TypeError: no dict, or a weight that is no number.
    """
    found = dict(hyperparameters or {})
    if loss_weights is None:
        return found
    if not isinstance(loss, Mapping):
        raise ValueError("loss_weights are for several losses: give loss as a dict by output")
    if not isinstance(loss_weights, Mapping):
        raise TypeError(f"loss_weights must be a dict of numbers by output; got {loss_weights!r}")
    for name, weight in loss_weights.items():
        if name not in loss:
            raise ValueError(f"loss_weights names {name!r}, which has no loss; {_check.did_you_mean(str(name), loss)}")
        if _WEIGHT + name in found:
            raise ValueError(f"the weight of {name!r} was given twice: in loss_weights and as a hyperparameter")
        found[_WEIGHT + name] = _check.number(f"loss_weights[{name!r}]", weight)
    return found


# ------------------------------------------------------------------------------------------------------ columns


@dataclasses.dataclass(frozen=True)
class OutputMetric:
    """The sums of a metric over one output."""

    output: str
    metric: metrics.Stream

    def __call__(self, predictions: Any, targets: Any, weights: jax.Array) -> Any:
        given = part_of(predictions, self.output, "outputs"), part_of(targets, self.output, "targets")
        try:
            return self.metric.sums(*given, weights)
        except (TypeError, ValueError) as error:
            raise ValueError(f"a metric of output {self.output!r}: {error}") from error


def ratio(total: jax.Array, weight: jax.Array) -> jax.Array:
    """A sum by the weight that it is divided by; 0 where that is 0."""
    return jnp.where(weight > 0, total / jnp.where(weight > 0, weight, 1), 0.0)


def _value(sums: Mapping[str, jax.Array]) -> jax.Array:
    return ratio(sums["total"], sums["weight"])


class OwnLoss(NamedTuple):
    """The column of one output's loss, which weighs examples as the whole loss does: the step takes its sums."""

    output: str
    value: Callable[[Any], jax.Array] = _value
    merge: Callable[[Any, Any], Any] = metrics.add


Column: TypeAlias = metrics.Stream | OwnLoss


def streams_of(chosen: Any, *, loss: Any = None, outputs: Any = None) -> dict[str, Any]:
    """Metrics by column name, before them the own losses of several outputs.

    Args:
      chosen: None, a metric, a sequence, or a dict by column; by output, ``{"main": [...]}``, where there are several.
      loss: the run's; of OutputLosses come the columns ``loss_main``.
      outputs: what the model gives; a dict says the outputs' names, which are else those of the losses.

    Returns:
      A Stream by column, for own losses an OwnLoss.

    Raises:
      ValueError: the same column twice, an unknown output. KeyError: an unknown metric, with the closest.
    """
    own = [name for name, _ in loss.losses] if isinstance(loss, OutputLosses) else []
    streams: dict[str, Column] = {f"loss_{name}": OwnLoss(name) for name in own}
    known = list(map(str, outputs)) if isinstance(outputs, Mapping) else own
    for column, output, metric in _chosen(chosen, known):
        if column in streams or column in _RESERVED:
            raise ValueError(f"two columns are called {column!r}; give metrics as a dict by column name")
        found = metrics.stream(metric)
        streams[column] = (
            found if output is None else metrics.Stream(OutputMetric(output, found), found.value, found.merge)
        )
    return streams


def _chosen(chosen: Any, outputs: list[str]) -> list[tuple[str, str | None, Any]]:
    """Column, output and metric; the output is None where a metric is of all that the model gives."""
    found: list[tuple[str, str | None, Any]] = []
    for name, metric in _named(chosen):
        if name in outputs and isinstance(chosen, Mapping):
            try:
                found += [(f"{name}_{column}", name, one) for column, one in _named(metric)]
            except KeyError as error:
                raise _registry.UnknownName(f"output {name!r}: {error.args[0]}") from None
        elif outputs and _of_arrays(metric):
            if isinstance(chosen, Mapping):
                raise ValueError(f"metrics are given for {name!r}, no output; {_check.did_you_mean(name, outputs)}")
            raise ValueError(f"of several outputs, metrics are given by output: {{{outputs[0]!r}: {metric!r}}}")
        else:
            found.append((name, None, metric))
    return found


def _of_arrays(metric: Any) -> bool:
    """Whether a metric can be of one output alone: a name, an entry, or what is none; other functions may take all."""
    if isinstance(metric, metrics.Stream):
        return False
    entries = (e.function for kind in ("metric", "loss") for e in _registry.iterate(kind))
    return not callable(metric) or getattr(metric, "func", metric) in entries


def _named(chosen: Any) -> list[tuple[str, Any]]:
    if chosen is None:
        return []
    if isinstance(chosen, Mapping):
        return list(chosen.items())
    if isinstance(chosen, (str, metrics.Stream)) or callable(chosen):
        several: list[Any] = [chosen]
    elif isinstance(chosen, Iterable):
        several = list(chosen)
    else:
        raise TypeError(f"metrics are names or functions, one, a sequence or a dict by column; got {chosen!r}")
    return [(metrics.name_of(m), m) for m in several]


def saved_metrics(streams: Iterable[tuple[str, Column]]) -> list[Any]:
    """Metrics as a checkpoint holds them: a column, or an output and its metric. Own losses come of the losses.

    Those whose columns are not called as the dictionary calls them are left out: what they are is not known.
    """
    found: list[Any] = []
    for column, stream in streams:
        if isinstance(stream, OwnLoss):
            continue
        one = stream.sums if isinstance(stream.sums, OutputMetric) else None
        name = column if one is None else column.removeprefix(f"{one.output}_")
        if (stream if one is None else one.metric) in _called(name):
            found.append(name if one is None else [one.output, name])
    return found


def _called(name: str) -> list[metrics.Stream]:
    """The metric and the loss that the dictionary calls so."""
    found = []
    for kind in ("metric", "loss"):
        with contextlib.suppress(_registry.UnknownName):
            found.append(metrics.stream(_registry.find(name, kind).function))
    return found


def loaded_metrics(saved: Iterable[Any]) -> dict[str, Any]:
    """Those of ``saved_metrics`` that the dictionary knows, as ``streams_of`` takes them."""
    found: dict[str, Any] = {}
    for one in saved:
        output, name = (None, one) if isinstance(one, str) else one
        try:
            metrics.stream(name)
        except KeyError:
            continue
        if output is None:
            found[name] = name
        else:
            found.setdefault(output, {})[name] = name
    return found
