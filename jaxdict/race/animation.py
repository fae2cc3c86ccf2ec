"""A race as an animated GIF: every way at the same step, the frames ever further apart."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxdict.plots._canvas import INK
from jaxdict.race import pictures
from jaxdict.race.results import Race

_FRAMES, _MILLISECONDS, _REST = 90, 70, 2500  # how many, how long each and the last
_WIDTH = 900  # pixels
_SAME = 255  # the number that stands for the colour that was there before
_CONTOUR, _GROUND = "#b4bac3", "#ccd9e6"


def gif(race: Race, path: str | os.PathLike[str]) -> None:
    """Write the race as an animated GIF, all or nothing.

    Each frame adds as many kept steps as the others: at first each step is seen, later they fly by.

    Args:
      race: what was run.
      path: of the file; folders on the way are made.

    Raises:
      ModuleNotFoundError: matplotlib is not installed.
    """
    from PIL import Image

    indices = list(_frames(race))
    frames = []
    for before, now in zip([None, *indices[:-1]], indices, strict=True):
        shown = now if before is None else np.where(now == before, _SAME, now)  # what did not change costs nothing
        frames.append(Image.fromarray(shown.astype(np.uint8), "P"))
        frames[-1].putpalette(_palette().ravel().tolist())
    content = io.BytesIO()
    frames[0].save(
        content, "GIF", save_all=True, append_images=frames[1:], loop=0, transparency=_SAME, disposal=1,
        duration=[_MILLISECONDS] * (len(frames) - 1) + [_REST], optimize=False,
    )  # fmt: skip
    write(path, content.getvalue())


def _palette() -> np.ndarray:
    """256 colours, (256, 3): those of the ways and of the ground, each on its way to white; the last is no colour."""
    own = [_rgb(color) for color in (*pictures.COLORS, INK, _CONTOUR, _GROUND)]
    shades = np.concatenate([np.linspace(color, (255, 255, 255), 14, endpoint=False) for color in own])
    colors = np.unique(np.concatenate([shades, [(255, 255, 255)]]).round().astype(np.uint8), axis=0)
    return np.concatenate([colors, np.zeros((256 - len(colors), 3), np.uint8)])


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def moments(race: Race) -> np.ndarray:
    """How many of the kept points each frame shows: until the last way has settled, or to the end where none has."""
    o, s = np.indices(race.chosen.shape)
    settled = race.settled[o, race.chosen, s]
    last = race.steps if (settled < 0).any() else int(settled.max())
    end = int(np.searchsorted(race.kept_steps, last)) + 1
    return np.unique(np.linspace(1, min(end, len(race.kept_steps)), _FRAMES).round().astype(int))


def _frames(race: Race) -> Iterator[np.ndarray]:
    """Pictures as numbers of the palette, (height, width); what does not move is drawn once."""
    from PIL import Image

    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette()[:_SAME].ravel().tolist())
    stage = pictures.stage(race)
    figure = stage.figure
    figure.set_dpi(_WIDTH / figure.get_figwidth())
    figure.canvas.draw()
    figure.set_layout_engine("none")  # where things are is settled
    clock = figure.text(0.995, 0.99, "", ha="right", va="top", fontsize=12, color=INK, family="monospace")
    moving = [artist for line in stage.lines for artist in (line.line, line.head)] + [clock]
    for artist in moving:
        artist.set_animated(True)
    figure.canvas.draw()
    still = figure.canvas.copy_from_bbox(figure.bbox)
    for count in moments(race):
        stage.until(count)
        clock.set_text(f"step {race.kept_steps[count - 1]:>6,}")
        figure.canvas.restore_region(still)
        for artist in sorted(moving, key=lambda a: a.zorder):
            (artist.axes or figure).draw_artist(artist)
        shown = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
        yield np.asarray(shown.quantize(palette=palette, dither=Image.Dither.NONE))


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file, all or nothing; folders on the way are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
