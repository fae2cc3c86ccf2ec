"""A race as one HTML page that needs nothing else: the ways, step by step, and the destinations under the pointer."""

import base64
import html
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxdict.race import pictures
from jaxdict.race.animation import moments, write
from jaxdict.race.results import Race

_TEMPLATE = Path(__file__).with_name("page.html")
_SIDE = 4000  # units across the window, of the coordinates in the page
_GONE = -32768  # what stands for places that are not finite
_LEVELS = 26


def page(race: Race, path: str | os.PathLike[str]) -> None:
    """Write the race as a self-contained HTML page, all or nothing; it loads nothing from anywhere.

    Args:
      race: what was run.
      path: of the file; folders on the way are made.

    Raises:
      ModuleNotFoundError: matplotlib, which finds the contours, is not installed.
    """
    text = json.dumps(_data(race), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    content = _TEMPLATE.read_text(encoding="utf-8")
    content = content.replace("{{title}}", html.escape(f"The race on {race.surface.name}")).replace("{{data}}", text)
    write(path, content.encode())


def _data(race: Race) -> dict[str, Any]:
    left, right, bottom, top = race.window
    x, y, heights = pictures.relief(race)
    low, high = heights.min(), heights.max()
    shade = np.round(255 * (heights - low) / ((high - low) or 1)).astype(np.uint8)
    pixels = shade[::-2, ::2]
    return {
        "name": race.surface.name,
        "steps": race.steps,
        "tolerance": race.tolerance,
        "kept": race.kept_steps.tolist(),
        "shown": int(moments(race)[-1]),
        "aspect": (top - bottom) / (right - left),
        "side": _SIDE,
        "window": [left, right, bottom, top],
        "relief": {"width": pixels.shape[1], "height": pixels.shape[0], "data": _packed(pixels)},
        "contours": [_packed(_scaled(race, segment)) for segment in _contours(x, y, heights)],
        "minima": _scaled(race, race.minima).tolist(),
        "valleys": [{"name": v.name, "mark": _scaled(race, np.array(v.mark)).tolist()} for v in race.surface.valleys],
        "starts": [f"({a:g}, {b:g})".replace("-", "−") for a, b in race.starts],
        "optimizers": list(race.optimizers),
        "colors": _colors(len(race.optimizers)),
        "rates": [float(f"{rate:.4g}") for rate in race.rates],
        "places": list(race.places),
        "placeColors": pictures.place_colors(race),
        "destinations": [[_digits(race.destinations[o, :, s]) for s in _starts(race)] for o in _optimizers(race)],
        "settled": [[race.settled[o, :, s].tolist() for s in _starts(race)] for o in _optimizers(race)],
        "chosen": race.chosen.tolist(),
        "paths": [
            [_packed(_scaled(race, race.path(label, s).astype(np.float64))) for s in _starts(race)]
            for label in race.optimizers
        ],
    }


def _optimizers(race: Race) -> range:
    return range(len(race.optimizers))


def _starts(race: Race) -> range:
    return range(len(race.starts))


def _digits(codes: np.ndarray) -> str:
    return "".join(format(code, "x") for code in codes)


def _colors(count: int) -> list[str]:
    """Those of the pictures, and for more optimizers hues in turn, light and dark."""
    if count <= len(pictures.COLORS):
        return list(pictures.COLORS[:count])
    return [f"hsl({360 * i / count:.0f} 75% {(34, 46, 56)[i % 3]}%)" for i in range(count)]


def _scaled(race: Race, points: np.ndarray) -> np.ndarray:
    """Points (n, 2) in units of the page, from the left and from the top."""
    left, right, _, top = race.window
    unit = _SIDE / (right - left)
    with np.errstate(invalid="ignore"):
        units = np.clip((points - (left, top)) * (unit, -unit), -8 * _SIDE + 1, 8 * _SIDE - 1)
    return np.where(np.isfinite(points).all(1, keepdims=True), units, _GONE).round().astype(np.int16)


def _packed(values: np.ndarray) -> str:
    """The bytes of an array, the lowest of each number first, in base 64."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode()


def _contours(x: np.ndarray, y: np.ndarray, heights: np.ndarray) -> list[np.ndarray]:
    from jaxdict.plots import _canvas

    axis = _canvas.figure().subplots()
    found = axis.contour(x[::2], y[::2], heights[::2, ::2], levels=np.linspace(heights.min(), heights.max(), _LEVELS))
    return [segment for level in found.allsegs for segment in level if len(segment) > 2]
