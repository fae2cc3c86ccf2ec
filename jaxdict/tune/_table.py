"""What a search gives back: candidates by their scores."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxdict import plots
from jaxdict._files import write_text
from jaxdict.tune._plain import plain
from jaxdict.tune._records import Record, Trial, merged, trial_of
from jaxdict.tune._space import Candidate


class Row(NamedTuple):
    """A candidate and how it did.

    Attributes:
      candidate: its number, from 0.
      parameters: its choices.
      score: the mean over its trials; NaN where one diverged.
      std: their standard deviation (n - 1 in the denominator); NaN for one.
      seed_std: that of the seeds alone, each seed's score being its mean over the folds; NaN for one seed.
      trials: how many there were.
      epoch: the mean best epoch.
      epochs: that each was given: in successive halving the best have more.
      results: how the runs ended, "done", "stopped" or "diverged", by trial.
      scores: by trial, folds of the first seed first.
    """

    candidate: int
    parameters: Candidate
    score: float
    std: float
    seed_std: float
    trials: int
    epoch: float
    epochs: int
    results: tuple[str, ...]
    scores: tuple[float, ...]


class Table(Sequence[Row]):
    """Candidates, best first. A sequence of rows; ``print`` shows the first ten.

    Attributes:
      monitor, mode: what was judged by: a column of the histories, and whether "min" or "max" is better.
      records: what is known of every trial, JSON data.
      seconds, compiles: what the search took, and how many programs were compiled for it.
      interrupted: whether Ctrl-C ended it; the rows hold what was done.
    """

    def __init__(
        self,
        records: Iterable[Record],
        monitor: str,
        mode: str,
        *,
        candidates: dict[int, Candidate] | None = None,
        seconds: float = 0.0,
        compiles: int = 0,
        interrupted: bool = False,
    ):
        self.monitor, self.mode = monitor, mode
        self.records = _last(records)
        self.seconds, self.compiles, self.interrupted = seconds, compiles, interrupted
        by_candidate: dict[int, list[Record]] = {}
        for record in self.records:
            by_candidate.setdefault(record["candidate"], []).append(record)
        known = candidates or {}
        rows = [_row(n, known[n] if n in known else of_one[0]["parameters"], of_one)
                for n, of_one in by_candidate.items()]  # fmt: skip
        sign = 1 if mode == "min" else -1
        self._rows = sorted(
            rows, key=lambda r: (math.isnan(r.score), -r.epochs, 0 if math.isnan(r.score) else sign * r.score, r[0])
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    @property
    def best(self) -> Candidate:
        """The choices of the best candidate; ValueError where there is none with a finite score."""
        if not self._rows or math.isnan(self._rows[0].score):
            raise ValueError("no candidate has a finite score")
        return self._rows[0].parameters

    def columns(self) -> dict[str, list[Any]]:
        """By name a value a row: rank from 1, score, spread, …, and the choices as JSON data, or None."""
        names = list(dict.fromkeys(name for row in self._rows for name in row.parameters))
        found: dict[str, list[Any]] = {"rank": list(range(1, len(self) + 1))}
        for name in ("candidate", "score", "std", "seed_std", "trials", "epoch", "epochs"):
            found[name] = [getattr(row, name) for row in self._rows]
        found["diverged"] = [row.results.count("diverged") for row in self._rows]
        for name in names:
            label = f"{name} (chosen)" if name in found else name
            found[label] = [plain(row.parameters.get(name)) for row in self._rows]
        return found

    def to_csv(self, path: str | os.PathLike) -> Path:
        """Write a line a row, best first; gives the path."""
        columns = self.columns()
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return write_text(Path(path), text.getvalue())

    def to_json(self, path: str | os.PathLike) -> Path:
        """Write all rows with the scores of every trial; NaN becomes null. Gives the path."""
        rows = [{name: _json(plain(value)) for name, value in row._asdict().items()} for row in self._rows]
        whole = {"monitor": self.monitor, "mode": self.mode, "seconds": self.seconds, "compiles": self.compiles}
        return write_text(Path(path), json.dumps(whole | {"rows": rows}, indent=1) + "\n")

    def to_pandas(self) -> Any:
        """A pandas DataFrame, a line a row; ImportError where pandas is not installed."""
        import pandas

        return pandas.DataFrame(self.columns())

    def plot(self, path: str | os.PathLike | None = None, *, curves: int = 5) -> Any:
        """A picture: every candidate's choices and score as a line, and the learning curves of the best ``curves``.

        Returns:
          A ``matplotlib.figure.Figure``, written to ``path`` if there is one.

        Raises:
          ValueError: there are no rows. ModuleNotFoundError: matplotlib is not installed.
        """
        shown = [[r["curve"] for r in self.records if r["candidate"] == row.candidate] for row in self._rows[:curves]]
        choices = [plain(row.parameters) for row in self._rows]
        return plots.search(choices, [row.score for row in self._rows], shown, self.monitor, mode=self.mode, path=path)

    def __repr__(self) -> str:
        return f"<Table of {len(self)} candidates by {self.monitor}>"

    def __str__(self) -> str:
        columns = self.columns()
        hidden = {"seed_std", "trials"} | ({"diverged"} if not any(columns["diverged"]) else set())
        hidden |= {"std"} if all(math.isnan(row.std) for row in self._rows) else set()
        names = [name for name in columns if name not in hidden]
        cells = [names] + [[_cell(columns[n][k]) for n in names] for k in range(min(len(self), 10))]
        widths = [max(len(line[k]) for line in cells) for k in range(len(names))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        more = [f"… and {len(self) - 10} more"] if len(self) > 10 else []
        return "\n".join([*lines, *more])


def load(*paths: str | os.PathLike) -> Table:
    """The table of records that searches wrote, the parts of one search together.

    Args:
      *paths: files of records: of one search, or of all its parts.

    Returns:
      The Table; choices that are functions or models are their names.

    Raises:
      ValueError: files of different searches, or none of a search. FileNotFoundError: no such file.
    """
    identity, records = merged(paths)
    return Table(records, identity["monitor"], identity["mode"])


def _last(records: Iterable[Record]) -> list[Record]:
    """The last record of every trial, in the order of trials; a candidate that got less than another is behind."""
    found: dict[Trial, Record] = {}
    for record in records:
        trial = trial_of(record)
        if trial not in found or record["budget"] >= found[trial]["budget"]:
            found[trial] = record
    return [found[trial] for trial in sorted(found)]


def _row(number: int, parameters: Candidate, records: Sequence[Record]) -> Row:
    most = max(record["budget"] for record in records)
    records = sorted((r for r in records if r["budget"] == most), key=lambda r: (r["seed"], r["fold"]))
    scores = [math.nan if r["score"] is None else r["score"] for r in records]
    by_seed: dict[int, list[float]] = {}
    for record, score in zip(records, scores, strict=True):
        by_seed.setdefault(record["seed"], []).append(score)
    seeds = [float(np.mean(of_one)) for of_one in by_seed.values()]
    return Row(
        number, parameters, float(np.mean(scores)), _std(scores), _std(seeds), len(records),
        float(np.mean([r["epoch"] for r in records])), most, tuple(r["result"] for r in records), tuple(scores),
    )  # fmt: skip


def _std(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return [_json(one) for one in value] if isinstance(value, list) else value


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = json.dumps(value) if isinstance(value, (dict, list)) else "" if value is None else str(value)
    return text if len(text) <= 30 else text[:29] + "…"
