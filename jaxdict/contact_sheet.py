"""The contact sheet: what each augmentation does, seen on the bundled digits."""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdict import _check, _registry, augment, data, plots

_INK, _GREY = "#1f2328", "#6b7280"
_SIDE = 32  # pixels, four for each of the digits as they are bundled
_FILLS = ("constant", "wrap", "edge", "reflect", "symmetric")
# Each at some settings; on the sheet of all the first of them, and of one all four ways to fill.
_SETTINGS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "flip": ({"direction": "horizontal"}, {"direction": "vertical"}, {"direction": "both"}),
    "rotate_quarter": ({}, {"turns": (0, 2)}),
    "rotate": tuple({"max_degrees": 30, "fill": fill} for fill in _FILLS),
    "zoom": tuple({"max_factor": 1.6, "fill": fill} for fill in _FILLS),
    "translate": tuple({"max_shift": 8, "fill": fill} for fill in _FILLS),
    "crop_and_resize": (
        {"min_area": 0.3}, {"min_area": 0.3, "max_aspect": 1.5}, {"min_area": 0.3, "interpolation": "nearest"},
    ),
    "gaussian_noise": ({"stddev": 0.2}, {"stddev": 0.4}),
    "salt_and_pepper": ({"amount": 0.1}, {"amount": 0.1, "salt": 1.0}, {"amount": 0.1, "salt": 0.0}),
    "mixup": ({"alpha": 1.0}, {"alpha": 0.2}),
    "cutmix": ({"alpha": 1.0}, {"alpha": 0.2}),
}  # fmt: skip
_ON_THE_SHEET_OF_ALL = {"translate": 4}


class _Row(NamedTuple):
    name: str
    options: str
    images: np.ndarray  # (10, side, side)


def contact_sheet(name: str | None = None, path: str | os.PathLike[str] | None = None, *, key: Any = 0) -> Any:
    """One digit of each class, enlarged four times, and what augmentations make of them, row by row.

    Args:
      name: an augmentation, by name or alias, which is shown at several settings; all of them when None.
      path: where to write the picture, 1200 pixels wide or a scalable format by its suffix, all or nothing.
      key: a PRNG key or an int seed.

    Returns:
      A ``matplotlib.figure.Figure``.

    Raises:
      KeyError: no augmentation is called so; the message names the closest ones.
      ModuleNotFoundError: matplotlib or scikit-learn, which holds the digits, is not installed.
    """
    key = _check.prng_key(key)
    names = list(_SETTINGS) if name is None else [_registry.find(name, "augmentation").name]
    digits = _digits()
    rows = [_Row("as they are", "", digits[..., 0])]
    for one in names:
        # The same draws for every setting, so that they can be compared.
        own = jax.random.fold_in(key, list(_SETTINGS).index(one))
        for options in _SETTINGS[one][: _ON_THE_SHEET_OF_ALL.get(one, 1) if name is None else None]:
            said = ", ".join(f"{k}={v!r}" for k, v in options.items())
            rows.append(_Row(one, said, _augmented(one, options, own, digits)))
    figure = _draw(rows)
    if path is not None:
        plots.save(figure, Path(path))
    return figure


def _digits() -> np.ndarray:
    """The first digit of each class, (10, side, side, 1) in [0, 1]."""
    digits = data.load("digits")
    first = [int(np.argmax(digits.targets == label)) for label in range(10)]
    images = digits.inputs[first].reshape(10, 8, 8, 1)
    return np.clip(jax.image.resize(images, (10, _SIDE, _SIDE, 1), "cubic"), 0, 1)


def _augmented(name: str, options: Mapping[str, Any], key: jax.Array, images: np.ndarray) -> np.ndarray:
    function = jax.jit(functools.partial(getattr(augment, name), **options))
    if name in ("mixup", "cutmix"):
        return np.asarray(function(key, images, np.eye(len(images), dtype=np.float32))[0])[..., 0]
    return np.asarray(function(key, images))[..., 0]


def _draw(rows: list[_Row]) -> Any:
    """A line of words and ten pictures for each row, 1200 pixels wide."""
    width, left, cell, gap, margin = 1200, 284, 85, 6, 14  # pixels
    height = 2 * margin + len(rows) * (cell + gap) - gap
    figure = plots.figure(width / 100, height / 100)
    figure.set_layout_engine("none")
    style = {"va": "center", "family": "monospace"}
    for number, row in enumerate(rows):
        top = margin + number * (cell + gap)
        middle, lift = 1 - (top + cell / 2) / height, 10 / height if row.options else 0
        figure.text(margin / width, middle + lift, row.name, fontsize=12.5, color=_INK, **style)
        if row.options:
            figure.text(margin / width, middle - lift, row.options, fontsize=9, color=_GREY, **style)
        for column, image in enumerate(row.images):
            x = left + column * (cell + gap)
            axis = figure.add_axes((x / width, 1 - (top + cell) / height, cell / width, cell / height))
            axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set_axis_off()
    return figure
