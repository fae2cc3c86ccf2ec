"""The race at the command line: what is typed as values, the table that is printed, the file that is written."""

import os
import sys
from collections.abc import Sequence

import numpy as np

from jaxdict.race.animation import gif
from jaxdict.race.pictures import brief, picture
from jaxdict.race.results import Outcome, Race
from jaxdict.race.web import page

_COLUMNS = ("optimizer", "rate", "steps", "distance", "at the end", "rates that arrive")
_RIGHT = (False, True, True, True, False, False)
_WRITERS = {"gif": gif, "html": page, "png": picture, "svg": picture, "pdf": picture}


def print_table(race: Race) -> None:
    """Print a table for each start, the fastest first; in colour where a person reads it."""
    rows = race.table()
    for start in race.starts:
        heading = f"{race.surface.name} from ({start[0]:g}, {start[1]:g})"
        _print(heading, [_cells(race, row) for row in rows if row.start == tuple(start)])
    rule = f"steps: until it stayed within {race.tolerance:g} of a minimum; distance: to it after {race.steps:,} steps."
    sys.stdout.write(f"{rule}\nThe rate is that of the fewest steps in the longest run of rates that arrive.\n")


def _cells(race: Race, row: Outcome) -> tuple[str, ...]:
    arriving = f"{row.arriving} of {len(race.rates)}"
    if row.lowest is not None and row.highest is not None:
        arriving += f", {brief(row.lowest)} to {brief(row.highest)}" if row.arriving > 1 else f", {brief(row.lowest)}"
    steps = "" if row.steps is None else f"{row.steps:,}"
    distance = "" if np.isnan(row.distance) else f"{row.distance:.2g}"
    return row.optimizer, brief(row.rate), steps, distance, row.destination, arriving


def _print(heading: str, rows: Sequence[tuple[str, ...]]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, right in zip(_COLUMNS, _RIGHT, strict=True):
            style = "bold cyan" if name == "optimizer" else ""
            table.add_column(name, justify="right" if right else "left", style=style, no_wrap=name == "optimizer")
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(Text(heading, "bold"), table, "", sep="\n")
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    lines = [heading]
    for row in (_COLUMNS, *rows):
        cells = zip(row, widths, _RIGHT, strict=True)
        lines.append("  ".join(text.rjust(w) if right else text.ljust(w) for text, w, right in cells).rstrip())
    sys.stdout.write("\n".join(lines) + "\n\n")


def writer_of(path: str | os.PathLike[str]) -> str:
    """The format that a file for a race is to have, by its suffix; ValueError for one that there is not."""
    suffix = os.path.splitext(path)[1].lower().lstrip(".")
    if suffix not in _WRITERS:
        known = ", ".join(f".{name}" for name in _WRITERS)
        raise ValueError(f"{os.fspath(path)}: a race is written as {known}; got {suffix or 'no suffix'!r}")
    return suffix


def write(race: Race, path: str | os.PathLike[str]) -> None:
    """Write a race as its suffix says: a picture, an animation or a page."""
    _WRITERS[writer_of(path)](race, path)


def read_rates(text: str) -> tuple[float, float, int]:
    """``LO:HI:N`` as numbers; ValueError for anything else."""
    parts = text.split(":")
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
        if len(parts) == 3:
            return low, high, count
    except (ValueError, IndexError):
        pass
    raise ValueError(f"--rates must be LOWEST:HIGHEST:COUNT, such as 1e-6:1e3:181; got {text!r}")


def read_starts(texts: Sequence[str]) -> list[tuple[float, float]]:
    """``X,Y`` each, as numbers; ValueError for anything else."""
    starts = []
    for text in texts:
        try:
            x, y = map(float, text.split(","))
        except ValueError:
            raise ValueError(f"--start must be X,Y, such as 2,-2; got {text!r}") from None
        starts.append((x, y))
    return starts
