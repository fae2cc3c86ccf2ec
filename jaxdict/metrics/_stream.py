"""A metric over batches: sums, how they merge, the value at the end; and the metrics that have such a form, by name."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _cache, _check, _registry

Function = TypeVar("Function", bound=Callable[..., Any])


def add(a: Any, b: Any) -> Any:
    """The sums of two batches added leaf by leaf, the merge of every metric that is a ratio of sums.

    Args:
      a: a tree of sums.
      b: a tree of the same structure.

    Returns:
      Such a tree.
    """
    return jax.tree.map(jnp.add, a, b)


class Stream(NamedTuple):
    """A metric over batches; all three functions are pure and can be compiled.

    Attributes:
      sums: ``(predictions, targets, weights) -> tree``, float32 sums of a batch; weights are ``(n,)``.
      value: ``tree -> scalar``; a column of a history holds scalars, an evaluation arrays too.
      merge: ``(tree, tree) -> tree``, the sums of both; leaf by leaf addition by default. A tree of zeros is neutral.
    """

    sums: Callable[[Any, Any, jax.Array], Any]
    value: Callable[[Any], jax.Array]
    merge: Callable[[Any, Any], Any] = add


Metric: TypeAlias = str | Stream | Callable[..., Any]

_STREAMS: list[tuple[Callable[..., Any], Callable[..., Stream]]] = []  # functions of the room, and what streams them


def streamed(make: Callable[..., Stream]) -> Callable[[Function], Function]:
    """``make(**options)`` gives the streaming form of the decorated function at these options."""

    def decorate(function: Function) -> Function:
        _STREAMS.append((function, make))
        return function

    return decorate


@_cache.constructor
def stream(metric: Metric) -> Stream:
    """The streaming form of a metric; equal metrics give the same object.

    Args:
      metric: a name or alias, of a metric or else of a loss (once `jaxdict.losses` is imported); a function of this
        room, or a `functools.partial` of one with options; a `Stream`; or any function ``(predictions, targets) ->``
        values ``(n, …)``, one an example, taken as their weighted mean (over the later axes first). Losses are such.

    Raises:
      KeyError: no metric or loss has that name; the message names the closest.
      TypeError: none of these.
    """
    if isinstance(metric, Stream):
        return metric
    function = _named(metric).function if isinstance(metric, str) else metric
    if not callable(function):
        raise TypeError(f"a metric must be a name, a function or a Stream; got {metric!r}")
    options: dict[str, Any] = {}
    room = function
    if isinstance(function, functools.partial) and not function.args:
        room, options = function.func, function.keywords
    make = next((make for known, make in _STREAMS if known is room), None)
    return mean_of(function) if make is None else make(**options)


def name_of(metric: Metric) -> str:
    """What a metric is called in a history: an entry's name, a function's ``__name__``.

    Raises:
      KeyError: no metric or loss has that name; the message names the closest.
      TypeError: a `Stream`, a lambda, or what is not a metric; the message says how to name it.
    """
    if isinstance(metric, str):
        return _named(metric).name
    while isinstance(metric, functools.partial):
        metric = metric.func
    name = getattr(metric, "__name__", None)
    if isinstance(metric, Stream) or not callable(metric) or name == "<lambda>":
        raise TypeError(f"{metric!r} has no name to be listed by; give it one as {{'name': metric}}")
    return name or type(metric).__name__


def _named(name: str) -> Any:
    """The entry of a metric called so, or else of a loss."""
    for kind in ("metric", "loss"):
        try:
            return _registry.find(name, kind)
        except _registry.UnknownName:
            continue
    known = [*_registry.known_names("metric"), *_registry.known_names("loss")]
    raise _registry.UnknownName(f"no metric or loss is called {name!r}; {_check.did_you_mean(name, known)}")


@_cache.constructor
def mean_of(function: Callable[..., Any]) -> Stream:
    """The weighted mean of what ``function`` gives for each example."""

    def sums(predictions, targets, weights):
        values = _check.floating(function(predictions, targets), name="the values of a metric")
        if values.shape[:1] != weights.shape:
            raise ValueError(
                f"{getattr(function, '__name__', function)} must give one value an example, {weights.shape} or more "
                f"axes after it; got {values.shape}"
            )
        weights = jnp.asarray(weights, jnp.float32)
        values = jnp.mean(values.astype(_check.compute_dtype(values.dtype)), axis=tuple(range(1, values.ndim)))
        present = weights > 0
        return {
            "total": jnp.sum(jnp.where(present, weights * values.astype(jnp.float32), 0)),
            "weight": jnp.sum(jnp.where(present, weights, 0)),
        }

    return Stream(sums, lambda tree: tree["total"] / tree["weight"])


def whole(metric: Stream, predictions: ArrayLike, targets: ArrayLike, sample_weight: ArrayLike | None) -> jax.Array:
    """The metric over examples that are all here."""
    return metric.value(metric.sums(predictions, targets, weights_of(predictions, sample_weight)))


def weights_of(predictions: ArrayLike, sample_weight: ArrayLike | None) -> jax.Array:
    """One weight an example, float32: 1 where none are given."""
    shape = jnp.shape(predictions)[:1]
    if not shape:
        raise ValueError("predictions must have a leading axis of examples; got a scalar")
    weights = jnp.ones(shape, jnp.float32) if sample_weight is None else _check.floating(sample_weight)
    if weights.shape != shape:
        raise ValueError(f"sample_weight must have one weight an example, shape {shape}; got {weights.shape}")
    return weights.astype(jnp.float32)


def as_many(weights: jax.Array, targets: jax.Array) -> jax.Array:
    """The weights as float32, absent examples' 0; a ValueError unless there is one for every target."""
    if targets.shape[:1] != weights.shape:
        raise ValueError(f"targets and weights must have as many examples; got {targets.shape} and {weights.shape}")
    weights = jnp.asarray(weights, jnp.float32)
    return jnp.where(weights > 0, weights, 0)
