"""Pictures of a race: the ways over the contours, and the destinations by rate."""

import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxdict.plots import _canvas
from jaxdict.plots._canvas import GREY, INK
from jaxdict.race.results import ARRIVED, CIRCLING, DIVERGED, ELSEWHERE, UNDER_WAY, Race

# Okabe and Ito's colours, which colour-blind readers tell apart, without the yellow that white swallows.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7a4fb5")
STARTS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_TOGETHER = 8  # so many ways are still told apart on one pair of axes
_TANGLED = 20  # times the diagonal of the window: a longer way is drawn thin
_CONTOUR, _FLOOR = "#b4bac3", "#5d6570"
_PLACES = {
    ARRIVED: "#0072b2", CIRCLING: "#74c1ec", UNDER_WAY: "#cfe4f2", ELSEWHERE: "#cc79a7", DIVERGED: "#3b3f46",
}  # fmt: skip
_VALLEYS, _AWAY = ("#e69f00", "#a85b00"), "#d9dbdf"


def paths(race: Race, path: str | os.PathLike[str] | None = None) -> Any:
    """The ways at the chosen rates over the contours of the function.

    Up to eight optimizers are drawn together, an axis for each start; more of them get an axis each, in which the
    starts are told apart by colour. Optimizers that went the same way to the eye share one.

    Args:
      race: what was run.
      path: where to write the picture, a format by its suffix, all or nothing.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      ValueError: a format that there is not.
      ModuleNotFoundError: matplotlib is not installed.
    """
    figure = stage(race).figure
    if path is not None:
        _canvas.save(figure, path)
    return figure


def destinations(race: Race, path: str | os.PathLike[str] | None = None) -> Any:
    """Where each optimizer ends, by the learning rate: a strip for each, a column for each start.

    A dot marks the chosen rate. Args, Returns, Raises: as ``paths``.
    """
    rows = len(race.optimizers)
    figure = _canvas.figure(13, 1.35 + 0.27 * rows)
    strips(figure, race)
    if path is not None:
        _canvas.save(figure, path)
    return figure


def picture(race: Race, path: str | os.PathLike[str] | None = None) -> Any:
    """The ways, and below them the destinations by rate. Args, Returns, Raises: as ``paths``."""
    groups = together(race)
    width, height = _size(race, groups)
    below = 1.35 + 0.27 * len(race.optimizers)
    figure = _canvas.figure(width, height + below)
    upper, lower = figure.subfigures(2, 1, height_ratios=[height, below])
    Stage(race, groups, upper)
    strips(lower, race)
    if path is not None:
        _canvas.save(figure, path)
    return figure


# ------------------------------------------------------------------------------------------------ ways over contours


class Line:
    """A way as it is drawn: the line, its head, and what can be said about it."""

    def __init__(self, axis: Any, race: Race, label: str, start: int, color: str):
        self.color, self.start, self.label = color, start, label
        points = race.path(label, start).astype(np.float64)
        finite = int(np.isfinite(points).all(1).argmin()) or len(points)
        self.shown = np.clip(points[:finite], -1e6, 1e6)  # what is far outside is drawn as far outside
        left, right, bottom, top = race.window
        tangled = np.hypot(*np.diff(self.shown, axis=0).T).sum() > _TANGLED * np.hypot(right - left, top - bottom)
        width = 0.5 if tangled else 1.5
        (self.line,) = axis.plot([], [], color=color, linewidth=width, solid_joinstyle="round", zorder=4)
        (self.head,) = axis.plot([], [], "o", color=color, markersize=6, markeredgecolor="white", zorder=6)

    def until(self, count: int) -> None:
        """Draw the first ``count`` points that were kept."""
        shown = self.shown[:count]
        self.line.set_data(*shown.T)
        self.head.set_data(*shown[-1:].T)


class Stage:
    """The axes with contours, and the ways on them."""

    def __init__(self, race: Race, groups: Sequence[Sequence[str]], figure: Any):
        self.figure, self.race, self.lines = figure, race, []
        self.axes = _together(self, groups) if len(groups) <= _TOGETHER else _apart(self, groups)
        self.until(len(race.kept_steps))

    def until(self, count: int) -> None:
        for line in self.lines:
            line.until(count)

    def add(self, axis: Any, label: str, start: int, color: str) -> None:
        self.lines.append(Line(axis, self.race, label, start, color))


def stage(race: Race) -> Stage:
    """A figure with all ways, which can be drawn up to any step."""
    groups = together(race)
    return Stage(race, groups, _canvas.figure(*_size(race, groups)))


def together(race: Race) -> list[list[str]]:
    """The optimizers, those together that went the same way at the same rates to the eye, from every start."""
    groups: list[list[str]] = []
    for label in race.optimizers:
        for group in groups:
            if all(_same(race, label, group[0], start) for start in range(len(race.starts))):
                group.append(label)
                break
        else:
            groups.append([label])
    return groups


def _same(race: Race, one: str, other: str, start: int) -> bool:
    numbers = [race.optimizers.index(label) for label in (one, other)]
    if race.chosen[numbers[0], start] != race.chosen[numbers[1], start]:
        return False
    a, b = (race.path(label, start) for label in (one, other))
    return bool(np.allclose(a, b, atol=2e-3, equal_nan=True))


def _size(race: Race, groups: Sequence[Any]) -> tuple[float, float]:
    left, right, bottom, top = race.window
    if len(groups) <= _TOGETHER:
        return 6.5 * len(race.starts), 0.4 + 6.1 * (top - bottom) / (right - left) + 0.24 * -(-len(groups) // 2)
    columns, titles = _columns(len(groups)), max(map(len, groups))
    panel = 0.92 * 13 / columns * (top - bottom) / (right - left)
    return 13, 0.5 + (panel + 0.3 + 0.17 * titles + 0.2 * len(race.starts)) * -(-len(groups) // columns)


def _columns(count: int) -> int:
    return 4 if count <= 12 else 5 if count <= 20 else 6


def _together(stage: "Stage", groups: Sequence[Sequence[str]]) -> list[Any]:
    """One axis for each start, and what is in it below."""
    race = stage.race
    lines = -(-len(groups) // 2)
    ratios = [_size(race, groups)[1] - 0.4 - 0.24 * lines, 0.24 * lines]
    grid = stage.figure.subplots(2, len(race.starts), squeeze=False, height_ratios=ratios)
    for s, (axis, below) in enumerate(grid.T):
        contours(axis, race, named=True)
        for group, color in zip(groups, COLORS, strict=False):
            stage.add(axis, group[0], s, color)
        axis.plot(*race.starts[s], "s", color=INK, markersize=7, markeredgecolor="white", zorder=7)
        axis.set_title(_from(race.starts[s]), loc="left", fontsize=12, fontweight="bold", color=INK)
        said = [f"{' = '.join(group)}  {_score(race, group[0], s)}" for group in groups]
        legend = below.legend(
            [line.line for line in stage.lines if line.start == s], said, loc="center", ncols=2, fontsize=8.5,
            frameon=False, columnspacing=1.0, handlelength=1.2, borderpad=0,
        )  # fmt: skip
        for handle in legend.legend_handles:
            handle.set_linewidth(3)
        legend.set_in_layout(False)
        below.set_axis_off()
    return list(grid[0])


def _apart(stage: "Stage", groups: Sequence[Sequence[str]]) -> list[Any]:
    """An axis for each optimizer."""
    race, figure = stage.race, stage.figure
    columns = _columns(len(groups))
    axes = figure.subplots(-(-len(groups) // columns), columns, squeeze=False).ravel()
    for axis in axes[len(groups) :]:
        axis.remove()
    for axis, group in zip(axes, groups, strict=False):
        contours(axis, race, levels=16)
        axis.set_xticks([])
        axis.set_yticks([])
        for s, start in enumerate(race.starts):
            color = STARTS[s % len(STARTS)]
            stage.add(axis, group[0], s, color)
            axis.plot(*start, "s", color=color, markersize=5, markeredgecolor="white", zorder=7, label=_from(start))
            said = axis.text(0, -0.045 - 0.085 * s, _score(race, group[0], s), transform=axis.transAxes)
            said.set(fontsize=7.5, color=color, va="top")
        axis.set_title(" =\n".join(group), loc="left", fontsize=9, fontweight="bold", color=INK, pad=3)
    handles, labels = axes[0].get_legend_handles_labels()
    if race.surface.valleys:
        handles.append(axes[0].plot([], [], color=_FLOOR, marker=9, markersize=8, linewidth=1.4)[0])
        labels.append("valley without an end")
    figure.legend(handles, labels, loc="outside upper left", ncols=len(handles), frameon=False, fontsize=9.5)
    return list(axes[: len(groups)])


def _from(start: Any) -> str:
    return f"from ({start[0]:g}, {start[1]:g})".replace("-", "−")


def _score(race: Race, label: str, start: int) -> str:
    """The chosen rate, and the steps or where it ended."""
    o = race.optimizers.index(label)
    r = race.chosen[o, start]
    settled = race.settled[o, r, start]
    end = f"{settled:,} steps" if settled >= 0 else race.places[race.destinations[o, r, start]]
    return f"η {brief(race.rates[r])}, {end}"


def brief(number: Any) -> str:
    """Two digits of a number, 0.012, 5.6e-5 or 120."""
    return f"{number:.2g}".replace("e-0", "e-") if number < 99.5 else f"{number:,.0f}"


def contours(axis: Any, race: Race, *, levels: int = 26, named: bool = False) -> None:
    """Contours of the function at heights that grow by equal factors, its minima, and its valleys where ``named``."""
    left, right, bottom, top = race.window
    x, y, heights = relief(race)
    steps = np.linspace(heights.min(), heights.max(), levels)
    axis.contourf(x, y, heights, levels=steps, colors=_shades(levels), zorder=0)
    axis.contour(x, y, heights, levels=steps, colors=_CONTOUR, linewidths=0.5, zorder=1)
    axis.plot(*race.minima.T, "*", color="white", markersize=15, markeredgecolor=INK, zorder=5, label="minimum")
    for valley in race.surface.valleys:
        tail, head = valley.mark
        arrow = {"arrowstyle": "-|>", "color": _FLOOR, "lw": 1.4, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", xy=head, xytext=tail, arrowprops=arrow, zorder=3)
        if named:
            across = abs(valley.direction[0]) > abs(valley.direction[1])
            axis.annotate(
                valley.name, xy=np.mean(valley.mark, 0), xytext=(0, -9) if across else (6, 0),
                textcoords="offset points", fontsize=8.5, color=_FLOOR, ha="center" if across else "left",
                va="top" if across else "center", zorder=3,
            )  # fmt: skip
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
    axis.set_box_aspect((top - bottom) / (right - left))
    axis.tick_params(colors=INK, labelsize=8)
    for spine in axis.spines.values():
        spine.set_color(GREY)


def relief(race: Race) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns, rows, and the logarithms of the heights above the minimum, cut off below 8 decades."""
    left, right, bottom, top = race.window
    x, y = np.linspace(left, right, 241), np.linspace(bottom, top, 241)
    grid = np.stack(np.meshgrid(x, y)).reshape(2, -1)
    with jax.enable_x64(True):
        function = jax.jit(jax.vmap(race.surface.function, in_axes=-1))
        heights = np.asarray(function(grid)).reshape(len(y), len(x))
        lowest = float(np.min(function(race.minima.T)))
    finite = np.isfinite(heights)
    above = np.where(finite, heights, heights[finite].max()) - min(lowest, heights[finite].min())
    highest = max(float(above.max()), np.finfo(float).tiny)
    floor = max(float(np.quantile(above, 5e-4)), 1e-8 * highest)
    return x, y, np.log10(np.maximum(above, floor))


def _shades(count: int) -> list[Any]:
    """From the grey of the lowest ground to white."""
    t = np.linspace(0, 1, count - 1)[:, None]
    return [tuple(c) for c in (1 - t) * np.array([0.80, 0.85, 0.90]) + t * np.array([1.0, 1.0, 1.0])]


# ------------------------------------------------------------------------------------------- destinations by rate


def strips(figure: Any, race: Race) -> None:
    """A strip for each optimizer, a column for each start."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    count = len(race.optimizers)
    colors = place_colors(race)
    edges = _edges(race.rates)
    axes = figure.subplots(1, len(race.starts), squeeze=False, sharey=True)[0]
    for s, (axis, start) in enumerate(zip(axes, race.starts, strict=True)):
        axis.pcolormesh(
            edges, np.arange(count + 1), race.destinations[:, :, s], cmap=ListedColormap(colors), vmin=-0.5,
            vmax=len(colors) - 0.5, rasterized=True,
        )  # fmt: skip
        axis.hlines(np.arange(1, count), *edges[[0, -1]], color="white", linewidth=2.5)
        best = race.rates[race.chosen[:, s]]
        axis.plot(best, np.arange(count) + 0.5, "o", color="white", markersize=5, markeredgecolor=INK)
        axis.set_xscale("log")
        axis.set_xlim(edges[0], edges[-1])
        axis.set_ylim(count, 0)
        axis.set_yticks(np.arange(count) + 0.5, race.optimizers)
        axis.tick_params(axis="y", length=0)
        axis.tick_params(colors=INK, labelsize=9)
        axis.set_xlabel("learning rate", color=INK)
        axis.set_title(_from(start), loc="left", fontsize=11, fontweight="bold", color=INK)
        axis.spines[:].set_visible(False)
    present = np.unique(race.destinations)
    handles = [Patch(color=colors[code], label=race.places[code]) for code in present]
    handles.append(axes[0].lines[-1])
    labels = [*(race.places[code] for code in present), "chosen"]
    figure.legend(
        handles, labels, loc="outside upper left", ncols=_abreast(figure, len(handles)), frameon=False, fontsize=9.5
    )


def _abreast(figure: Any, count: int) -> int:
    """How many words of a legend go beside each other."""
    return max(1, min(count, int(figure.bbox.width / 140)))


def place_colors(race: Race) -> list[str]:
    """A colour for each of ``race.places``."""
    valleys = [_VALLEYS[i % len(_VALLEYS)] for i in range(len(race.surface.valleys))]
    return [*(_PLACES[code] for code in range(len(_PLACES))), *valleys, _AWAY]


def _edges(rates: np.ndarray) -> np.ndarray:
    """The borders of the cells around the rates."""
    logs = np.log(rates)
    if len(logs) == 1:
        return rates[0] * np.array([0.5, 2.0])
    between = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - between[0]], between, [2 * logs[-1] - between[-1]]]))
