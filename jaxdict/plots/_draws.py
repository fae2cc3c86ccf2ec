"""Pictures of what is random: distributions, initializers, noise; and normalization, before and after."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _expression
from jaxdict._entry import Entry
from jaxdict.plots._canvas import BLUE, INK, ORANGE, plain
from jaxdict.plots._functions import required, said

_REACH = 2.2737  # a normal that is redrawn beyond two deviations, widened to have deviation 1
# What is given to parameters that have no default.
_GIVEN = {
    "value": 0.1, "scale": 2.0, "distribution": "normal", "rate": 0.3, "stddev": 0.5, "sparsity": 0.8, "branches": 8,
    "num_branches": 8, "num_layers": 2, "layers": 2, "depth": 8, "fraction": 0.8, "part": "inner",
}  # fmt: skip


def distribution(figure: Any, entry: Entry) -> None:
    """Many draws as a histogram, and the density."""
    options = required(entry, 2, _GIVEN)
    draws = np.asarray(jax.jit(lambda key: entry.function(key, (40_000,), **options))(jax.random.key(0)), np.float64)
    defaults = {n: v for n, v in {**entry.defaults, **options}.items() if isinstance(v, (int, float))}
    scope = {entry.symbols.get(n, n): v for n, v in defaults.items()}
    reach = 1.15 * np.abs(draws).max()
    x = np.linspace(-reach, reach, 1201)
    axis = figure.subplots()
    _histogram(axis, draws, "40,000 draws", BLUE)
    axis.plot(x, np.broadcast_to(_expression.evaluate(entry.expression, scope | {"x": x}), x.shape), color=ORANGE,
              linewidth=2.2, label="density")  # fmt: skip
    axis.set_xlabel("x" + (f"   ({said(defaults)})" if defaults else ""))
    axis.set_ylabel("density")
    _headroom(axis)
    axis.legend(frameon=False)
    plain(axis)


def initializer(figure: Any, entry: Entry) -> None:
    """A corner of the weights as an image, and all of them as a histogram with the density."""
    options = required(entry, 0, _GIVEN)
    init = entry.function(**options)

    def draw(shape):
        return np.asarray(jax.jit(lambda key: init(key, shape, jnp.float32))(jax.random.key(0)), np.float64)

    try:
        weights = draw((256, 128))
        corner = weights[:32, :32]
    except ValueError:  # one for convolutions
        weights = draw((3, 3, 32, 32))
        corner = weights[1, 1]
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
    most = float(np.abs(corner).max()) or 1.0
    image = left.imshow(corner, cmap="RdBu_r", vmin=-most, vmax=most, interpolation="nearest")
    figure.colorbar(image, ax=left, shrink=0.8)
    _bare(left, "output", "input")
    few = np.unique(weights)
    if len(few) <= 3:
        for value in few:
            right.bar([value], [np.mean(weights == value)], width=0.06 * most, color=BLUE)
        right.set_ylabel("share of the weights")
        right.set_xlim(-1.6 * most, 1.6 * most)
    else:
        zero = float(np.mean(weights == 0))
        sparse = zero > 0.2
        label = f"the {1 - zero:.0%} of the weights that are not 0" if sparse else "weights"
        _histogram(right, weights[weights != 0] if sparse else weights.ravel(), label, BLUE)
        if not sparse:
            _density(right, weights, _spread(entry, options, weights.shape))
        right.set_ylabel("density")
        _headroom(right)
        right.legend(frameon=False, loc="upper right", fontsize=9)
    shape = " × ".join(map(str, weights.shape))
    right.set_xlabel(f"weight   ({', '.join(filter(None, (f'kernel {shape}', said(options))))})")
    plain(right)


def _spread(entry: Entry, options: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, float]:
    """What the equation says of the weights, ``{"std": …}`` or ``{"r": …}``; empty where it says something else."""
    fans = {"n_in": shape[-2] * np.prod(shape[:-2]), "n_out": shape[-1] * np.prod(shape[:-2])}
    numbers = {n: v for n, v in {**entry.defaults, **options}.items() if isinstance(v, (int, float))}
    try:
        shown = _expression.evaluate(entry.expression, {entry.symbols.get(n, n): v for n, v in numbers.items()} | fans)
    except (KeyError, TypeError, ValueError):
        return {}
    return {n: float(v) for n, v in shown.items() if n in ("std", "r")} if isinstance(shown, dict) else {}


def _density(axis: Any, weights: np.ndarray, spread: Mapping[str, float]) -> None:
    from math import erf, pi, sqrt

    reach = 1.1 * np.abs(weights).max()
    x = np.linspace(-reach, reach, 1201)
    if "r" in spread:
        r = spread["r"]
        axis.plot(x, (np.abs(x) < r) / (2 * r), color=ORANGE, linewidth=2.2, label=f"uniform up to ±{r:.3g}")
    if "std" in spread:
        std = spread["std"]
        cut = np.abs(weights).max() <= _REACH * std * (1 + 1e-4)
        sigma = std * _REACH / 2 if cut else std
        y = np.exp(-((x / sigma) ** 2) / 2) / (sigma * sqrt(2 * pi))
        y = np.where(np.abs(x) <= 2 * sigma, y / erf(sqrt(2)), 0) if cut else y
        name = "truncated normal" if cut else "normal"
        axis.plot(x, y, color=ORANGE, linewidth=2.2, label=f"{name}, deviation {std:.3g}")


def _histogram(axis: Any, values: np.ndarray, label: str, color: str) -> None:
    heights, edges = np.histogram(values, 80, density=True)
    axis.stairs(heights, edges, fill=True, color=color, alpha=0.55, label=label)


def _bare(axis: Any, across: str, down: str) -> None:
    """An image's axes: names without numbers."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel(across)
    axis.set_ylabel(down)


def _headroom(axis: Any) -> None:
    """Room for a legend above the bars."""
    axis.set_ylim(0, 1.22 * axis.get_ylim()[1])


def noise(figure: Any, entry: Entry) -> None:
    """A signal and its noisy self: some elements one by one, and the histograms of many."""
    options = required(entry, 2, _GIVEN)
    mean, deviation = (0.0, 1.0) if "alpha" in entry.name else (1.0, 0.5)  # what it is made for
    x = (mean + deviation * np.random.default_rng(0).normal(size=20_000)).astype(np.float32)
    y = np.asarray(jax.jit(lambda key, x: entry.function(key, x, **options))(jax.random.key(0), x))
    left, right = figure.subplots(1, 2)
    places = np.arange(40)
    left.vlines(places, x[:40], y[:40], color=INK, linewidth=0.6)
    left.plot(places, x[:40], "o", color=BLUE, markersize=5, label="before")
    left.plot(places, y[:40], "o", color=ORANGE, markersize=5, label="after")
    left.set_xlabel("element")
    left.set_ylabel("value")
    _before_and_after(right, x, y)
    right.set_xlabel(f"value   ({said(options)})" if options else "value")
    for axis in (left, right):
        plain(axis)
    left.legend(frameon=False, loc="upper right", ncols=2)


def _before_and_after(axis: Any, x: np.ndarray, y: np.ndarray) -> None:
    bins = np.linspace(min(x.min(), y.min()), max(x.max(), y.max()), 81)
    for values, label, color in ((x, "before", BLUE), (y, "after", ORANGE)):
        legend = f"{label}: mean {values.mean():.2f}, deviation {values.std():.2f}"
        counts, edges = np.histogram(values, bins)
        axis.stairs(counts / values.size, edges, fill=True, color=color, alpha=0.45, label=legend)
    axis.set_ylabel("share")
    _headroom(axis)
    axis.legend(frameon=False, fontsize=9)


def normalization(figure: Any, entry: Entry) -> None:
    """Activations of a small batch as images, before and after, and the histograms of both."""
    rng = np.random.default_rng(0)
    features, examples = rng.normal(0, 2, 16), rng.normal(0, 1.2, (16, 1))
    x = (features + examples + rng.normal(size=(16, 16)) * np.linspace(0.5, 2, 16)).astype(np.float32)
    options = required(entry, 1, _running(x))
    result = jax.jit(lambda x: entry.function(x, **options))(x)
    y = np.asarray(jax.tree.leaves(result)[0])
    if y.shape != x.shape:
        raise ValueError(f"the normalization {entry.name} gives no changed activations: nothing to draw")
    before, after, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.5])
    for axis, values, label in ((before, x, "before"), (after, y, "after")):
        image = axis.imshow(values, cmap="RdBu_r", vmin=-4, vmax=4, interpolation="nearest")
        _bare(axis, f"feature, {label}", "example" if axis is before else "")
        if axis is after:
            figure.colorbar(image, ax=[before, after], shrink=0.6, location="bottom")
    _before_and_after(right, x, y)
    right.set_xlabel("value")
    plain(right)


def _running(x: np.ndarray) -> dict[str, Any]:
    """Values for what may be required beside x: running statistics near those of the batch, groups, limits."""
    mean, variance = x.mean(0) + 0.3, 1.2 * x.var(0)
    return {
        "mean": mean, "variance": variance, "running_mean": mean, "running_variance": variance, "groups": 4,
        "num_groups": 4, "r_max": 1.5, "d_max": 0.5,
    }  # fmt: skip
