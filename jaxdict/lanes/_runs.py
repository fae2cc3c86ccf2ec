"""What lanes give back: their runs, side by side."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxdict import _check
from jaxdict.lanes._plan import LanePlan
from jaxdict.run import Run


def mode_of(monitor: str, mode: str | None = None) -> str:
    """Whether "min" or "max" of a column is better: the first of losses, errors and penalties, unless ``mode`` says so.

    Raises:
      ValueError: another mode.
    """
    if mode is None:
        own = monitor.removeprefix("validation_").startswith("loss_")  # of one output
        return "min" if own or monitor.endswith(("loss", "error", "penalty")) else "max"
    return _check.one_of("mode", mode, ["min", "max"])


class Runs(Sequence[Run]):
    """The runs of ``fit_lanes``, in the order of their keys.

    Attributes:
      plan: the LanePlan.
      seconds: what they took together, compilation included.
      compiles: how many programs were compiled for their epochs; 0 where an equal one was there.
    """

    def __init__(self, runs: Sequence[Run], plan: LanePlan, seconds: float, compiles: int = 0):
        self._runs = list(runs)
        self.plan = plan
        self.seconds = seconds
        self.compiles = compiles

    def __len__(self) -> int:
        return len(self._runs)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Runs(self._runs[index], self.plan, self.seconds, self.compiles)
        return self._runs[index]

    def best(self, monitor: str = "auto", mode: str | None = None) -> Run:
        """The run with the best epoch of all, by one column of the histories.

        Args:
          monitor: the column; "auto" is the validation loss, or the loss where there is no validation.
          mode: "min" or "max", whether smaller or larger is better; None is "min" for losses, errors and penalties.

        Raises:
          KeyError: no such column, with the closest names. ValueError: an unknown mode; nothing finite in the column.
        """
        if monitor == "auto":
            monitor = "validation_loss" if any("validation_loss" in run.history for run in self._runs) else "loss"
        sign = {"min": -1, "max": 1}[mode_of(monitor, mode)]
        scores = []
        for run in self._runs:
            values = sign * run.history[monitor]
            scores.append(np.max(values[np.isfinite(values)], initial=-math.inf))
        if max(scores, default=-math.inf) == -math.inf:
            raise ValueError(f"no run has a finite {monitor!r}")
        return self._runs[int(np.argmax(scores))]

    def table(self) -> dict[str, np.ndarray]:
        """Columns with a value a lane: lane, hyperparameters, epochs, result, and the last row of the history."""
        rows: list[dict[str, Any]] = []
        for lane, run in enumerate(self._runs):
            numbers = {name: value.item() for name, value in run.hyperparameters.items()}
            last = {name: value for name, value in run.history.last.items() if name != "epoch"}
            rows.append({"lane": lane} | last | numbers | {"epochs": run.epoch, "result": run.result})
        names = ["lane", *(self._runs[0].hyperparameters if self._runs else ()), "epochs", "result"]
        names += [name for row in rows for name in row if name not in names]
        return {name: np.array([row.get(name, math.nan) for row in rows]) for name in dict.fromkeys(names)}

    def __repr__(self) -> str:
        results = [run.result for run in self._runs]
        counts = ", ".join(f"{results.count(result)} {result}" for result in dict.fromkeys(results))
        return f"<{len(self)} runs: {counts}>"
