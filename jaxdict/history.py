"""History: one row an epoch, held as columns."""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdict import _check


class History(Mapping[str, np.ndarray]):
    """Columns of a run by name, one value an epoch: ``history["loss"]`` is a float64 array ``(epochs,)``.

    ``epoch`` counts from 1; ``seconds`` is the time of the epoch alone. ``to_pandas`` gives a frame.
    """

    def __init__(self, columns: Mapping[str, Any] | None = None):
        self._columns = {name: np.asarray(values, np.float64) for name, values in (columns or {}).items()}
        lengths = {len(values) for values in self._columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"the columns of a history must have one length; got {sorted(lengths)}")

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._columns[name]
        except KeyError:
            raise KeyError(f"no column is called {name!r}; {_check.did_you_mean(name, self._columns)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def epochs(self) -> int:
        """The number of epochs, the length of every column."""
        return len(next(iter(self._columns.values()), ()))

    @property
    def last(self) -> dict[str, float]:
        """The last epoch's row; empty before the first."""
        return {name: float(values[-1]) for name, values in self._columns.items()} if self.epochs else {}

    def rows(self) -> Iterator[dict[str, float]]:
        """The epochs one by one, each a dict by column."""
        for i in range(self.epochs):
            yield {name: float(values[i]) for name, values in self._columns.items()}

    def extended(self, rows: Mapping[str, np.ndarray]) -> "History":
        """A history with ``rows`` (columns of the same names) after this one's; ValueError when the names differ."""
        if self._columns and set(rows) != set(self._columns):
            raise ValueError(f"the columns differ: {sorted(self._columns)} and {sorted(rows)}")
        return History({n: np.concatenate([self._columns.get(n, np.empty(0)), v]) for n, v in rows.items()})

    def to_pandas(self) -> Any:
        """A pandas DataFrame indexed by epoch; ImportError where pandas is not installed."""
        import pandas

        frame = pandas.DataFrame(self._columns)
        return frame.astype({"epoch": int}).set_index("epoch") if "epoch" in frame else frame

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write the rows to ``path``, all or nothing; numbers round-trip."""
        path = Path(path)
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(self)
            writer.writerows([int(v) if n == "epoch" else repr(v) for n, v in row.items()] for row in self.rows())
        os.replace(partial, path)

    def __repr__(self) -> str:
        shown = ", ".join(f"{n} {v:.4g}" for n, v in self.last.items())
        return f"<History of {self.epochs} epochs; last: {shown}>"
