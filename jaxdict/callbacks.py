"""Callbacks: host code called between compiled segments: progress, files, pictures, a limit of time.

Conventions of the room. A callback is an object with any of ``on_start(run)``, ``on_segment(run)``, ``on_end(run)``;
``on_segment`` returning True ends the run. It writes into its own path only, and a file there is replaced as a whole,
so that a kill leaves the old one or the new one. On a resumed run every file is written anew from the run's history: it
has the rows that the checkpoint has, none twice and none missing. Writing is spaced so that it takes a few percent of
the time at most. A callback object serves one run at a time.
"""

import os
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxdict import _check, plots
from jaxdict import checkpoint as checkpoint_room

__all__ = ["checkpoint", "csv", "curves", "progress", "tensorboard", "time_limit"]


class _Pace:
    """Says when something is due: ``seconds`` after the last time, and 20 times as long as it took."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.restart(0.0)

    def restart(self, cost: float) -> None:
        self.next = time.monotonic() + max(self.seconds, 20 * cost)

    @property
    def due(self) -> bool:
        return time.monotonic() >= self.next


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise TypeError(f"{name} must be a path; got {value!r}")
    return Path(value)


def _file(value: Any, what: str) -> Path:
    path = _path("path", value)
    if path.is_dir():
        raise ValueError(f"path must be a file for {what}; {str(path)!r} is a folder")
    return path


def _folder(value: Any) -> Path:
    path = _path("folder", value)
    if path.exists() and not path.is_dir():
        raise ValueError(f"folder must be a folder; {str(path)!r} is a file")
    return path


# --- progress ---------------------------------------------------------------------------------------------------------


def headline(row: Mapping[str, float]) -> tuple[str, float] | None:
    """The number to show beside the loss: the first validation metric, else the validation loss, else a metric."""
    plain = [n for n in row if n not in ("epoch", "loss", "penalty", "learning_rate", "seconds", "steps_per_second")]
    held = [n for n in plain if n.startswith("validation_") and n != "validation_loss"]
    for name in (*held, *(["validation_loss"] if "validation_loss" in row else []), *plain):
        return name, row[name]
    return None


def _clock(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _scores(row: Mapping[str, float]) -> str:
    if not row:
        return ""
    parts = [f"loss {row['loss']:.4g}"]
    shown = headline(row)
    if shown is not None:
        parts.append(f"{shown[0].replace('_', ' ')} {shown[1]:.4g}")
    parts.append(f"{row['steps_per_second']:,.0f} steps/s")
    return "  ".join(parts)


class _Progress:
    def __init__(self, seconds: float):
        self._seconds = seconds
        self._bar: Any = None

    def on_start(self, run: Any) -> None:
        self._began, self._first = time.monotonic(), run.epoch
        self._line, self._redraw = _Pace(self._seconds), _Pace(0.1)
        if sys.stdout.isatty():
            self._bar, self._task = _bar(run)

    def on_segment(self, run: Any) -> None:
        if self._bar is not None and self._redraw.due:
            self._draw(run)
            self._redraw.restart(0.0)
        elif self._bar is None and self._line.due and run.epoch < run.epochs:
            self._print(run, f"{_clock(self._left(run))} left")
            self._line.restart(0.0)

    def on_end(self, run: Any) -> None:
        if self._bar is not None:
            self._draw(run)
            self._bar.stop()
            self._bar = None
        else:
            self._print(run, f"{_clock(time.monotonic() - self._began)} in all")

    def _left(self, run: Any) -> float:
        done = run.epoch - self._first
        return (time.monotonic() - self._began) / done * (run.epochs - run.epoch) if done else 0.0

    def _print(self, run: Any, end: str) -> None:
        parts = (f"epoch {run.epoch}/{run.epochs}", _scores(run.history.last), end)
        print("  ".join(filter(None, parts)), flush=True)

    def _draw(self, run: Any) -> None:
        left = "" if run.result != "running" else f"{_clock(self._left(run))} left"
        self._bar.update(self._task, completed=run.epoch, scores=_scores(run.history.last), left=left)
        self._bar.refresh()


def _bar(run: Any) -> tuple[Any, Any]:
    try:
        from rich.progress import BarColumn, Progress, TextColumn
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the progress bar needs rich; pip install 'jaxdict[train]'") from error
    bar = Progress(
        TextColumn("epoch {task.completed}/{task.total}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[scores]}"),
        TextColumn("{task.fields[left]}", style="dim"),
        auto_refresh=False,  # drawn between segments; a thread of its own would take time from the training
    )
    task = bar.add_task("", total=run.epochs, completed=run.epoch, scores="", left="")
    bar.start()
    return bar, task


def progress(*, seconds: float = 5.0) -> Any:
    """Show how far the run is: epoch, loss, first validation metric, steps per second, time left.

    A progress bar in a terminal; elsewhere one plain line now and then, and one at the end.

    Args:
      seconds: the time between two lines where standard output is no terminal, > 0.

    Returns:
      A callback.

    Raises:
      ValueError, TypeError: seconds out of range. ModuleNotFoundError, at the start: rich is not installed.
    """
    return _Progress(float(_check.number("seconds", seconds, above=0)))


# --- files ------------------------------------------------------------------------------------------------------------


class _Csv:
    def __init__(self, path: Path):
        self._path = path

    def on_start(self, run: Any) -> None:
        self._pace = _Pace(1.0)
        if run.history.epochs:
            self._write(run)
        else:
            self._path.unlink(missing_ok=True)  # rows of an earlier run are not this one's

    def on_segment(self, run: Any) -> None:
        if self._pace.due:
            self._write(run)

    def on_end(self, run: Any) -> None:
        if run.history.epochs:
            self._write(run)

    def _write(self, run: Any) -> None:
        began = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        run.history.to_csv(self._path)
        self._pace.restart(time.monotonic() - began)


def csv(path: str | os.PathLike[str]) -> Any:
    """Write the history as comma-separated rows, one an epoch; numbers round-trip.

    The file is replaced as a whole, once a second at most and at the end.

    Args:
      path: the file; its folder is made when missing, and a file there is replaced.

    Returns:
      A callback.

    Raises:
      TypeError: no path. ValueError: a folder.
    """
    return _Csv(_file(path, "the rows"))


class _Curves:
    def __init__(self, path: Path, seconds: float, title: str):
        self._path, self._seconds, self._title = path, seconds, title

    def on_start(self, run: Any) -> None:
        self._pace = _Pace(self._seconds)

    def on_segment(self, run: Any) -> None:
        if self._pace.due:
            self._draw(run)

    def on_end(self, run: Any) -> None:
        if run.history.epochs:
            self._draw(run)

    def _draw(self, run: Any) -> None:
        began = time.monotonic()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        best = run.best
        plots.curves(run.history, self._path, best=None if best is None else best.epoch, title=self._title)
        self._pace.restart(time.monotonic() - began)


def curves(path: str | os.PathLike[str], *, seconds: float = 10.0, title: str = "") -> Any:
    """Draw the learning curves, training and validation, with the best epoch marked; see ``plots.curves``.

    Args:
      path: the picture, ``.png`` or another format by its suffix; a file there is replaced.
      seconds: the time between two pictures, > 0; the last is drawn at the end.
      title: above the picture.

    Returns:
      A callback.

    Raises:
      TypeError: no path. ValueError: a folder, seconds out of range; an unknown format, when drawn.
      ModuleNotFoundError, when drawn: matplotlib is not installed.
    """
    return _Curves(_file(path, "the picture"), float(_check.number("seconds", seconds, above=0)), title)


class _Checkpoint:
    def __init__(self, folder: Path, every: int | None, seconds: float | None, keep: int | None):
        self.every = every  # no segment runs past a multiple of it
        self._folder, self._seconds, self._keep = folder, seconds, keep

    def on_start(self, run: Any) -> None:
        newest = checkpoint_room.latest(self._folder)
        metadata = {} if newest is None else checkpoint_room.read_metadata(newest)
        epoch = metadata.get("epoch", -1)
        if epoch > run.epoch:
            raise ValueError(
                f"{self._folder} holds a checkpoint of epoch {epoch}, and this run starts at epoch {run.epoch}: "
                f"resume from it, or give another folder"
            )
        self._pace = None if self._seconds is None else _Pace(self._seconds)
        self._saved: tuple[Any, ...] = (epoch, metadata.get("result"), metadata.get("message"))

    def on_segment(self, run: Any) -> None:
        reached = self.every is not None and run.epoch % self.every == 0 and run.epoch != self._saved[0]
        if reached or (self._pace is not None and self._pace.due):
            self._save(run)

    def on_end(self, run: Any) -> None:
        self._save(run)

    def _save(self, run: Any) -> None:
        now = (run.epoch, run.result, run.message)
        if now == self._saved:
            return
        began = time.monotonic()
        checkpoint_room.save_numbered(self._folder, run.epoch, run, keep=self._keep)
        self._saved = now
        if self._pace is not None:
            self._pace.restart(time.monotonic() - began)


def checkpoint(
    folder: str | os.PathLike[str], *, every: int | None = None, seconds: float | None = 2.0, keep: int | None = 3
) -> Any:
    """Write checkpoints that a run goes on from, bit for bit: ``fit(…, resume=folder)``.

    Args:
      folder: of ``checkpoint-00000012.safetensors``, the number being the epoch; made when missing.
      every: write after every so many epochs, too; None does not.
      seconds: write when so much time has passed, > 0; None does not. At the end one is always written.
      keep: how many stay, >= 1; None keeps all.

    Returns:
      A callback.

    Raises:
      TypeError, ValueError: an argument out of range, a file as the folder; at the start, a folder with checkpoints
        of a run that was further.
      ModuleNotFoundError: safetensors is not installed.
    """
    return _Checkpoint(
        _folder(folder),
        None if every is None else _check.integer("every", every, low=1),
        None if seconds is None else float(_check.number("seconds", seconds, above=0)),
        None if keep is None else _check.integer("keep", keep, low=1),
    )


# --- the rest ---------------------------------------------------------------------------------------------------------


class _TimeLimit:
    def __init__(self, seconds: float):
        self._seconds = seconds

    def on_start(self, run: Any) -> None:
        self._end = time.monotonic() + self._seconds

    def on_segment(self, run: Any) -> bool:
        return time.monotonic() >= self._end


def time_limit(seconds: float) -> Any:
    """End the run, as "stopped", after the segment in which the time is up.

    Args:
      seconds: from the start of training, compilation not counted, > 0; a resumed run counts anew.

    Returns:
      A callback.

    Raises:
      TypeError, ValueError: not a number above 0.
    """
    return _TimeLimit(float(_check.number("seconds", seconds, above=0)))


_SUFFIX = ".jaxdict"


class _TensorBoard:
    def __init__(self, folder: Path):
        self._folder = folder

    def on_start(self, run: Any) -> None:
        self._writer: Any = None
        self._written = 0
        self._pace = _Pace(2.0)
        # An earlier part of the run wrote epochs that its checkpoint may not have: its files give way to new ones.
        self._old = list(self._folder.glob(f"events.out.tfevents.*{_SUFFIX}"))

    def on_segment(self, run: Any) -> None:
        if self._pace.due:
            self._write(run)

    def on_end(self, run: Any) -> None:
        if run.history.epochs:
            self._write(run)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, run: Any) -> None:
        began = time.monotonic()
        writer = self._writer = self._writer or self._open()
        seconds = run.history["seconds"]
        ended = time.time() - (np.sum(seconds) - np.cumsum(seconds))
        for at in range(self._written, run.history.epochs):
            row = {name: float(values[at]) for name, values in run.history.items() if name != "epoch"}
            writer.write_event(self._event(row, int(run.history["epoch"][at]), float(ended[at])))
        self._written = run.history.epochs
        writer.flush()
        self._pace.restart(time.monotonic() - began)

    def _open(self) -> Any:
        try:
            from tensorboardX.event_file_writer import EventsWriter  # the one without a queue, a thread and a delay
            from tensorboardX.proto.event_pb2 import Event  # type: ignore  # made at run time by protobuf
            from tensorboardX.proto.summary_pb2 import Summary  # type: ignore  # likewise
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("event files need tensorboardX; pip install 'jaxdict[train]'") from error

        def event(row: dict[str, float], step: int, wall_time: float) -> Any:
            # One event for all columns: seven times cheaper than one each.
            summary = Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in row.items()])
            return Event(summary=summary, step=step, wall_time=wall_time)

        self._folder.mkdir(parents=True, exist_ok=True)
        self._event = event
        writer = EventsWriter(str(self._folder / "events"), f".{secrets.token_hex(4)}{_SUFFIX}")
        for old in self._old:
            old.unlink(missing_ok=True)
        return writer


def tensorboard(folder: str | os.PathLike[str]) -> Any:
    """Write the history for TensorBoard: a scalar by epoch for each column.

    Args:
      folder: of the event files, made when missing; event files that this callback wrote there before are replaced.

    Returns:
      A callback.

    Raises:
      TypeError: no path. ValueError: a file. ModuleNotFoundError, at the first write: tensorboardX is not installed.
    """
    return _TensorBoard(_folder(folder))
