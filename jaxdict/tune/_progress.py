"""A search while it runs: how far it is, the time left, and the best candidates so far."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxdict.tune._records import Record

_SHOWN = 5


class _Standing:
    """Candidates by what is known of them so far."""

    def __init__(self, total: int | None, mode: str):
        self.total, self.sign, self.began = total, 1 if mode == "min" else -1, time.monotonic()
        self.done, self.diverged = 0, 0
        self.scores: dict[int, dict[tuple[int, int], float]] = {}
        self.last: dict[int, Record] = {}

    def add(self, record: Record) -> None:
        self.done += 1
        self.diverged += record["result"] == "diverged"
        number = record["candidate"]
        score = math.nan if record["score"] is None else record["score"]
        self.scores.setdefault(number, {})[record["fold"], record["seed"]] = score
        self.last[number] = record

    def best(self) -> list[tuple[int, float, int, dict[str, Any]]]:
        """Number, mean score, trials, choices of the best few."""
        rows = [
            (n, float(np.mean(list(s.values()))), len(s), self.last[n]["parameters"]) for n, s in self.scores.items()
        ]
        finite = [row for row in rows if not math.isnan(row[1])]
        return sorted(finite, key=lambda row: (-self.last[row[0]]["budget"], self.sign * row[1]))[:_SHOWN]

    def line(self) -> str:
        seconds = time.monotonic() - self.began
        text = f"{self.done} of {self.total} runs" if self.total else f"{self.done} runs"
        text += f"  {self.done / max(seconds, 1e-9):.1f} runs/s"
        if self.total:
            left = (self.total - self.done) * seconds / max(self.done, 1)
            text += f"  {int(left) // 60}:{int(left) % 60:02d} left"
        return text + (f"  {self.diverged} diverged" if self.diverged else "")


@contextlib.contextmanager
def progress(
    total: int | None = None, *, mode: str = "min", seconds: float = 5.0
) -> Iterator[Callable[[Record], None]]:
    """Show a search while it runs: a table that moves in a terminal, elsewhere a plain line now and then.

    Args:
      total: how many runs there will be, None where that is not known. mode: "min" or "max", which scores are better.
      seconds: the time between two lines where standard output is no terminal.

    Returns:
      A context manager; what it gives is for ``on_record`` of `search`.

    Raises:
      ModuleNotFoundError: in a terminal, where rich is not installed.
    """
    standing = _Standing(total, mode)
    if sys.stdout.isatty():
        from rich.live import Live

        with Live(refresh_per_second=8, transient=True, get_renderable=lambda: _moving(standing)):
            yield standing.add
        return
    due = time.monotonic() + seconds

    def show(record: Record) -> None:
        nonlocal due
        standing.add(record)
        if time.monotonic() >= due:
            best = standing.best()
            print(standing.line() + (f"  best {best[0][1]:.4g}" if best else ""), flush=True)
            due = time.monotonic() + seconds

    yield show


def _moving(standing: _Standing) -> Any:
    from rich.table import Table

    best = standing.best()
    table = Table(title=standing.line(), title_justify="left", box=None, header_style="bold")
    names = list(dict.fromkeys(name for *_, choices in best for name in choices))
    for name in ("score", "runs", *names):
        table.add_column(name, justify="right")
    for _, score, trials, choices in best:
        cells = [choices.get(name, "") for name in names]
        table.add_row(f"{score:.4g}", str(trials), *(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
    return table
