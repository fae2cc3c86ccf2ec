"""Curves of functions: activations, losses, metrics and penalties, with their derivatives."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict._entry import Entry
from jaxdict.plots._canvas import BLUE, GREEN, GREY, INK, ORANGE, plain

# What is given to parameters that have no default.
_GIVEN = {"alpha": 0.25, "beta": 1.0, "minimum": -1.0, "maximum": 2.0, "strength": 1.0, "delta": 1.0, "gamma": 2.0}
_POINTS = 1200


def signature(entry: Entry) -> Mapping[str, inspect.Parameter]:
    """The parameters of an entry's function."""
    return inspect.signature(entry.function).parameters


def required(entry: Entry, skip: int, given: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the parameters after the first ``skip`` that have no default; a ValueError where none is known."""
    parameters = list(signature(entry).values())[skip:]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    for name in needed:
        if name not in given:
            raise ValueError(f"the {entry.kind} {entry.name} needs {name}, which the picture has no value for")
    return {name: given[name] for name in needed}


def said(options: Mapping[str, Any]) -> str:
    """Options as words on a picture: ``alpha = 0.25, strength = 1``."""
    shown = {n: f"{v:g}" if isinstance(v, float) else v for n, v in options.items() if not isinstance(v, bool)}
    return ", ".join(f"{name} = {value}" for name, value in shown.items())


# ----------------------------------------------------------------------------------------------------- activations


def activation(figure: Any, entry: Entry) -> None:
    """Value and derivative from -5 to 5; a vector's first component runs while the others stay."""
    options = required(entry, 1, {**_GIVEN, "alpha": 1.0 if "minimum" in signature(entry) else 0.25})
    halved = jax.eval_shape(functools.partial(entry.function, **options), jnp.zeros(4)).shape == (2,)
    if halved or entry.vectors:
        (_gated if halved else _vector)(figure, entry, options)
        return
    axis = figure.subplots()
    plain(axis, zero=True)
    reach = max([5.0, *(1.4 * abs(k) for k in entry.kinks)])
    where, slope = places(entry.kinks, -reach, reach), entry.derivative
    assert slope is not None
    values, slopes = jax.jit(lambda x: (entry.function(x, **options), slope(x, **options)))(where.x)
    curve(axis, where, values, "value", BLUE)
    curve(axis, where, slopes, "derivative", ORANGE)
    axis.set_xlim(-reach, reach)
    axis.set_xlabel("x" + (f"   ({said(options)})" if options else ""))
    axis.legend(loc="best", frameon=False)


class Places(NamedTuple):
    """Where a line is evaluated: pieces between kinks, then the kinks themselves, then filling."""

    x: Any
    length: int  # points of a piece
    kinks: list[float]


def places(kinks: Any, low: float, high: float) -> Places:
    """Always as many places, so that one compiled program serves several lines."""
    inner = sorted(k for k in kinks if low < k < high)
    near = 1e-6 * (high - low)
    starts, ends = [low, *(k + near for k in inner)], [*(k - near for k in inner), high]
    count = _POINTS // len(starts)
    pieces = [np.linspace(a, b, count) for a, b in zip(starts, ends, strict=True)]
    x = np.full(_POINTS + 16, low, np.float32)
    x[: count * len(pieces) + len(inner)] = np.concatenate([*pieces, np.asarray(inner)])
    return Places(jnp.asarray(x), count, inner)


def curve(axis: Any, where: Places, values: Any, label: str, color: str) -> None:
    """One line, broken at kinks; a dot is what holds there, a ring the limit from a side that differs."""
    x, y = np.asarray(where.x), np.asarray(values, np.float64)
    y = np.where(np.isfinite(y), y, np.nan)
    for i in range(len(where.kinks) + 1):
        here = slice(i * where.length, (i + 1) * where.length)
        axis.plot(x[here], _broken(y[here]), color=color, linewidth=2.2, label=label if i == 0 else None)
    for i, k in enumerate(where.kinks, 1):
        at = y[where.length * (len(where.kinks) + 1) + i - 1]
        for limit in (y[i * where.length - 1], y[i * where.length]):
            if abs(limit - at) > 1e-3:
                axis.plot([k], [limit], "o", color=color, markerfacecolor="white", markersize=6, zorder=5)
        axis.plot([k], [at], "o", color=color, markersize=6, zorder=6)


def _broken(y: np.ndarray) -> np.ndarray:
    """``y`` with a gap where it jumps."""
    steps = np.abs(np.diff(y, prepend=y[:1]))
    return np.where(steps > 0.1 * (np.nanmax(y) - np.nanmin(y)), np.nan, y) if np.isfinite(y).any() else y


def _vector(figure: Any, entry: Entry, options: Mapping[str, Any]) -> None:
    left, right = figure.subplots(1, 2)
    x = np.linspace(-5, 5, 401, dtype=np.float32)
    rows = jnp.stack([jnp.asarray(x), jnp.zeros(len(x)), jnp.full(len(x), -1.0)], axis=-1)
    jacobian = entry.derivative
    assert jacobian is not None
    values, slopes = jax.jit(lambda x: (entry.function(x, **options), jacobian(x, **options)[..., 0]))(rows)
    for i, color in enumerate((BLUE, ORANGE, GREEN)):
        left.plot(x, values[:, i], color=color, linewidth=2.2, label=f"component {i + 1}")
        right.plot(x, _broken(np.asarray(slopes[:, i])), color=color, linewidth=2.2)
    for axis, label in ((left, "value"), (right, "derivative by the first component")):
        plain(axis, zero=True)
        axis.set_xlim(-5, 5)
        axis.set_xlabel("x₁ of (x₁, 0, −1)")
        axis.set_ylabel(label)
    left.legend(frameon=False)


def _gated(figure: Any, entry: Entry, options: Mapping[str, Any]) -> None:
    """An activation of two halves, one of which is the gate."""
    left, right = figure.subplots(1, 2)
    gate = np.linspace(-5, 5, 401, dtype=np.float32)

    def value(first, second):
        return entry.function(jnp.stack([first, second]), **options)[0]

    both = jax.jit(jax.vmap(jax.value_and_grad(value, 1)))
    for first, color in ((1.0, BLUE), (-0.5, ORANGE), (2.0, GREEN)):
        values, slopes = both(jnp.full(len(gate), first), gate)
        left.plot(gate, values, color=color, linewidth=2.2, label=f"first half {first:g}")
        right.plot(gate, slopes, color=color, linewidth=2.2)
    for axis, label in ((left, "value"), (right, "derivative by the gate")):
        plain(axis, zero=True)
        axis.set_xlabel("gate, the second half")
        axis.set_ylabel(label)
    left.legend(frameon=False)


# ---------------------------------------------------------------------------------------------------------- losses


class _Slice(NamedTuple):
    """A line through the space of predictions: ``place(x)`` gives predictions ``(n, …)``, at the same targets."""

    low: float
    high: float
    label: str
    place: Callable[[Any], Any]
    targets: dict[str, Any]  # what the curve is called -> the targets of one example
    component: int = 0  # whose derivative is shown


def _column(x: Any) -> Any:
    return x[:, None]


def _versus_zero(x: Any) -> Any:
    return jnp.stack([x, jnp.zeros_like(x)], -1)


def _pair(x: Any) -> Any:
    return jnp.stack([x, 1 - x], -1)


_ERROR = _Slice(-4, 4, "error, prediction − target", _column, {"": [0.0]})
_BINARY = _Slice(-6, 6, "logit z", _column, {"target 1": [1.0], "target 0": [0.0]})
_LOGIT = _Slice(-6, 6, "logit of the right class, the other being 0", _versus_zero, {"": [1.0, 0.0]})
_PROBABILITY = _Slice(2e-3, 1, "probability of the right class", _pair, {"": [1.0, 0.0]})
_ANGLE = _Slice(
    -180, 180, "angle between prediction and target, degrees",
    lambda x: jnp.stack([jnp.cos(jnp.deg2rad(x)), jnp.sin(jnp.deg2rad(x))], -1), {"": [1.0, 0.0]}, 1,
)  # fmt: skip
_SLICES = {
    "binary_cross_entropy": _Slice(
        2e-3, 1 - 2e-3, "predicted probability", _column, {"target 1": [1.0], "target 0": [0.0]}
    ),
    "categorical_hinge": _Slice(-4, 4, "score of the right class, the other being 0", _versus_zero, {"": [1.0, 0.0]}),
    "cosine_distance": _ANGLE,
    "cosine_similarity": _ANGLE,
    "cross_entropy": _PROBABILITY,
    "focal": _BINARY,
    "hinge": _Slice(-3, 3, "prediction", _column, {"target 1": [1.0], "target −1": [-1.0]}),
    "kl_divergence": _Slice(
        2e-3, 1 - 2e-3, "probability of the first class", _pair,
        {"target (0.7, 0.3)": [0.7, 0.3], "target (1, 0)": [1.0, 0.0]},
    ),
    "multiclass_hinge": _Slice(
        -4, 4, "score of the right class, the others being 0 and 1",
        lambda x: jnp.stack([x, jnp.zeros_like(x), jnp.ones_like(x)], -1), {"": [1.0, 0.0, 0.0]},
    ),
    "poisson_nll": _Slice(
        -2, 3, "prediction, the logarithm of the rate", _column, {"count 1": [1.0], "count 6": [6.0]}
    ),
    "sigmoid_cross_entropy": _BINARY,
    "squared_hinge": _Slice(-3, 3, "prediction", _column, {"target 1": [1.0], "target −1": [-1.0]}),
}  # fmt: skip


def _slice(entry: Entry) -> _Slice:
    first, second = list(signature(entry))[:2]
    if entry.name in _SLICES:
        chosen = _SLICES[entry.name]
    elif "logit" in first:
        chosen = _LOGIT
    elif second == "labels" and "probab" in " ".join((entry.summary, *signature(entry))):
        chosen = _PROBABILITY
    elif second == "labels":
        chosen = _SLICES["categorical_hinge"]
    else:
        chosen = _ERROR
    if second == "labels":  # integers: the class whose target is 1
        chosen = chosen._replace(targets={name: int(np.argmax(t)) for name, t in chosen.targets.items()})
    return chosen


def loss(figure: Any, entry: Entry) -> None:
    """The loss and its derivative along a line of predictions, at fixed targets."""
    where, options = _slice(entry), required(entry, 2, _GIVEN)
    left, right = figure.subplots(1, 2)
    at = places(entry.kinks if where is _ERROR else (), where.low, where.high)
    predictions, gradient = where.place(at.x), entry.derivative

    @jax.jit
    def both(predictions, target):
        targets = jnp.broadcast_to(target, (len(predictions), *target.shape))
        slope = None if gradient is None else gradient(predictions, targets, **options)[:, where.component]
        return entry.function(predictions, targets, **options), slope

    for (label, target), color in zip(where.targets.items(), (BLUE, ORANGE), strict=False):
        for axis, values in zip((left, right), both(predictions, jnp.asarray(target)), strict=True):
            if values is not None:
                curve(axis, at, values, label, color)
    for axis, label in ((left, "loss"), (right, "derivative")):
        plain(axis, zero=where.low < 0)
        axis.set_xlim(where.low, where.high)
        axis.set_xlabel(where.label + (f"   ({said(options)})" if options else ""))
        axis.set_ylabel(label)
        _calm(axis)
    if len(where.targets) > 1:
        left.legend(frameon=False)


def _calm(axis: Any, most: float = 12.0) -> None:
    """Limits that an infinity at an end does not drive the rest out of."""
    low, high = axis.get_ylim()
    axis.set_ylim(max(low, -most), min(high, most))


# -------------------------------------------------------------------------------------------------------- penalties


def penalty(figure: Any, entry: Entry) -> None:
    """The penalty of one weight, its derivative, and what it shrinks a weight to: argmin ½(x − θ)² + penalty(x)."""
    options = required(entry, 1, {**_GIVEN, "alpha": 0.5})
    left, right = figure.subplots(1, 2)

    def one(theta):
        return entry.function(theta[None], **options)

    where = places(entry.kinks, -3, 3)
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(one)))(where.x)
    curve(left, where, values, "penalty", BLUE)
    curve(left, where, slopes, "derivative", ORANGE)
    order = np.argsort(where.x)
    grid, cost = np.asarray(where.x, np.float64)[order], np.asarray(values, np.float64)[order]
    weights = np.linspace(-3, 3, 301)
    shrunk = grid[np.argmin((grid - weights[:, None]) ** 2 / 2 + cost, axis=1)]
    right.plot(weights, weights, color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="without a penalty")
    right.plot(weights, shrunk, color=GREEN, linewidth=2.2, label="shrunk weight")
    for axis, label in ((left, ""), (right, "the weight that is best with the penalty")):
        plain(axis, zero=True)
        axis.set_xlim(-3, 3)
        axis.set_ylabel(label)
        axis.legend(frameon=False, loc="upper center" if axis is left else "upper left")
    left.set_xlabel(f"weight θ   ({said(options)})" if options else "weight θ")
    right.set_xlabel("the weight that fits best without it")


# ---------------------------------------------------------------------------------------------------------- metrics


_MADE_OF = {
    "accuracy": "three classes", "confusion_matrix": "three classes", "mean_absolute_error": "one number",
    "mean_squared_error": "one number", "r2": "one number", "top_k_accuracy": "three classes",
}  # fmt: skip


def metric(figure: Any, entry: Entry) -> None:
    """The metric of predictions that get worse: right ones plus more and more noise."""
    options = required(entry, 2, _GIVEN) | ({"k": 2} if "k" in signature(entry) else {})
    measure = jax.jit(functools.partial(entry.function, **options))
    what, predict, targets, result = _task(entry, measure)
    if result.ndim == 2:
        _matrices(figure, measure, predict, targets)
        return
    levels = np.linspace(0, 4, 25)
    axis = figure.subplots()
    values = [float(measure(predict(s), targets)) for s in levels]
    axis.plot(levels, values, color=BLUE, linewidth=2.2, marker="o", markersize=4)
    plain(axis)
    made_of = ", ".join(filter(None, (what, said(options))))
    axis.set_xlabel(f"noise added to right predictions, standard deviations   ({made_of})")
    axis.set_ylabel(entry.name.replace("_", " "))


def _task(entry: Entry, measure: Callable[..., Any]) -> tuple[str, Callable[[float], Any], Any, np.ndarray]:
    """Made-up data that the metric takes: what it is, noise -> predictions, targets, the metric without noise."""
    tasks = _tasks(np.random.default_rng(0))
    first = _MADE_OF.get(entry.name, "two classes")
    for what in [first, *(t for t in tasks if t != first)]:
        predict, targets = tasks[what]
        try:
            result = np.asarray(measure(predict(0.0), targets))
        except (TypeError, ValueError):
            continue
        if np.isfinite(result).all():
            return what, predict, targets, result
    raise ValueError(f"the metric {entry.name} takes none of the data that this picture makes up")


def _tasks(rng: np.random.Generator) -> dict[str, tuple[Callable[[float], Any], Any]]:
    """Made-up data: what it is -> (noise -> predictions, targets)."""
    real = rng.normal(0, 1, 400).astype(np.float32)
    labels = rng.integers(0, 3, 400)
    flags = rng.integers(0, 2, 400)
    noise, wide = rng.normal(0, 1, 400).astype(np.float32), rng.normal(0, 1, (400, 3)).astype(np.float32)
    right = 2 * np.eye(3, dtype=np.float32)[labels]
    return {
        "three classes": (lambda s: (right + s * wide).astype(np.float32), labels),
        "one number": (lambda s: (real + s * noise).astype(np.float32), real),
        "two classes": (lambda s: (2 * flags - 1 + s * noise).astype(np.float32), flags),
    }


def _matrices(figure: Any, measure: Callable[..., Any], predict: Callable[[float], Any], targets: Any) -> None:
    axes = figure.subplots(1, 2)
    for axis, noise in zip(axes, (0.5, 2.0), strict=True):
        table = np.asarray(measure(predict(noise), targets))
        axis.imshow(table, cmap="Blues")
        for (i, j), count in np.ndenumerate(table):
            axis.text(j, i, f"{count:g}", ha="center", va="center", color=INK if count < table.max() / 2 else "white")
        axis.set_xticks(range(table.shape[1]))
        axis.set_yticks(range(table.shape[0]))
        axis.set_xlabel(f"predicted class, noise {noise:g}")
        axis.set_ylabel("class")
