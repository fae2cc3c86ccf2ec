"""Callbacks: what they write and show, that a kill or a resume leaves no row twice and none missing."""

import csv
import io
import sys
import types

import jax
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import callbacks, checkpoint
from jaxdict.history import History

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = (X[:, 0] > 0.2).astype(np.int32)
MODEL = jd.models.mlp([3, 4, 2])


def fit(*chosen, epochs=6, **options):
    return jd.fit(
        MODEL, "sparse_softmax_cross_entropy", "adam", (X[8:], Y[8:]), key=1, epochs=epochs, batch_size=8,
        validation=(X[:8], Y[:8]), metrics="accuracy", callbacks=chosen, segment_epochs=1, **options,
    )  # fmt: skip


class Stop:
    """Ends the run after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_segment(self, run):
        return run.epoch >= self.epoch


def rows(path):
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def events(folder):
    """The (step, tag) pairs of all event files, in order, and the values by them."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.iterdir()):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            event = Event.FromString(content[at + 12 : at + 12 + length])
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
            at += 16 + length
    return found


def fake(epoch, epochs=10, result="running", **columns):
    """A run as callbacks see it, without training one."""
    n = np.arange(1, epoch + 1, dtype=float)
    base = {"epoch": n, "loss": 1 / n, "accuracy": n / 10, "seconds": n * 0 + 1, "steps_per_second": n * 0 + 1234.5}
    return types.SimpleNamespace(
        epoch=epoch, epochs=epochs, history=History({**base, **columns} if epoch else {}), result=result, best=None,
        message="",
    )  # fmt: skip


# --- csv, tensorboard, curves -----------------------------------------------------------------------------------------


def test_files_of_a_whole_run(tmp_path):
    run = fit(
        callbacks.csv(tmp_path / "deep" / "metrics.csv"),
        callbacks.curves(tmp_path / "curves.png", title="t"),
        callbacks.tensorboard(tmp_path / "tb"),
        callbacks.checkpoint(tmp_path / "k"),
    )
    table = rows(tmp_path / "deep" / "metrics.csv")
    assert [row["epoch"] for row in table] == [1, 2, 3, 4, 5, 6]
    assert [row["validation_accuracy"] for row in table] == run.history["validation_accuracy"].tolist()
    seen = events(tmp_path / "tb")
    assert [step for step, tag, _ in seen if tag == "loss"] == [1, 2, 3, 4, 5, 6]
    assert [v for _, tag, v in seen if tag == "loss"] == run.history["loss"].astype(np.float32).tolist()
    assert {tag for _, tag, _ in seen} == set(run.history) - {"epoch"}
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curves.png", "deep", "k", "tb"]


def test_resume_leaves_no_row_twice_and_none_missing(tmp_path):
    def writers():
        return (
            callbacks.csv(tmp_path / "m.csv"),
            callbacks.tensorboard(tmp_path / "tb"),
            callbacks.checkpoint(tmp_path / "k"),
        )

    whole = fit()
    fit(*writers(), Stop(3))
    # What a killed run leaves: rows and events of epochs that no checkpoint holds.
    (tmp_path / "m.csv").write_text((tmp_path / "m.csv").read_text() + "4,half a r")
    late = callbacks.tensorboard(tmp_path / "other")
    late.on_start(fake(0))
    late.on_end(fake(5))
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / "tb" / path.name)
    assert [step for step, tag, _ in events(tmp_path / "tb") if tag == "loss"] != [1, 2, 3]
    resumed = fit(*writers(), resume=tmp_path / "k")
    assert [row["epoch"] for row in rows(tmp_path / "m.csv")] == [1, 2, 3, 4, 5, 6]
    assert [row["loss"] for row in rows(tmp_path / "m.csv")] == whole.history["loss"].tolist()
    assert [step for step, tag, _ in events(tmp_path / "tb") if tag == "loss"] == [1, 2, 3, 4, 5, 6]
    for one, other in zip(*map(jax.tree.leaves, (whole.params, resumed.params)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_resumed_files_agree_with_the_checkpoint_before_the_first_epoch(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("epoch,loss\n1,2\n2,1\n3,half")
    callbacks.csv(path).on_start(fake(2))
    assert [row["epoch"] for row in rows(path)] == [1, 2]
    callbacks.csv(path).on_start(fake(0))
    assert not path.exists()


def test_event_files_of_others_stay(tmp_path):
    other = tmp_path / "events.out.tfevents.1.host"
    other.write_bytes(b"")
    writer = callbacks.tensorboard(tmp_path)
    writer.on_start(fake(0))
    writer.on_end(fake(2))
    assert other.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_nothing_is_written_for_a_run_without_an_epoch(tmp_path):
    for one in (callbacks.csv(tmp_path / "m"), callbacks.curves(tmp_path / "c"), callbacks.tensorboard(tmp_path / "t")):
        one.on_start(fake(0))
        one.on_end(fake(0))
    assert not list(tmp_path.iterdir())


def test_segments_write_only_when_it_is_time(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    path = tmp_path / "m.csv"
    writer = callbacks.csv(path)
    writer.on_start(fake(0))
    writer.on_segment(fake(1))
    assert not path.exists()
    clock.now += 1.5
    writer.on_segment(fake(2))
    assert len(rows(path)) == 2
    writer.on_segment(fake(3))
    assert len(rows(path)) == 2
    writer.on_end(fake(3))
    assert len(rows(path)) == 3


def test_curves_are_drawn_now_and_then(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(callbacks.plots, "curves", lambda history, path, **_: drawn.append(history.epochs))
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    one = callbacks.curves(tmp_path / "c.png", seconds=10)
    one.on_start(fake(0))
    for epoch in range(1, 7):
        clock.now += 4.0
        one.on_segment(fake(epoch))
    one.on_end(fake(6))
    assert drawn == [3, 6, 6]


# --- checkpoint -------------------------------------------------------------------------------------------------------


def test_checkpoints_every_so_many_epochs(tmp_path):
    fit(callbacks.checkpoint(tmp_path, every=2, seconds=None, keep=None), epochs=5)
    assert [int(p.stem.split("-")[1]) for p in sorted(tmp_path.iterdir())] == [2, 4, 5]


def test_checkpoints_that_are_kept(tmp_path):
    fit(callbacks.checkpoint(tmp_path, every=1, seconds=None, keep=2))
    assert [int(p.stem.split("-")[1]) for p in sorted(tmp_path.iterdir())] == [5, 6]
    assert checkpoint.read_metadata(checkpoint.latest(tmp_path))["result"] == "done"


def test_checkpoints_by_time_and_not_twice(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save_numbered", lambda folder, number, run, keep: saved.append(number))
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    one = callbacks.checkpoint(tmp_path, seconds=2.0)
    one.on_start(fake(0))
    one.on_segment(fake(1))
    clock.now = 2.5
    one.on_segment(fake(2))
    one.on_segment(fake(3))
    one.on_end(fake(3, result="done"))
    one.on_end(fake(3, result="done"))
    assert saved == [2, 3]


def test_a_resumed_run_with_nothing_to_do_writes_nothing(tmp_path):
    fit(callbacks.checkpoint(tmp_path), epochs=2)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    fit(callbacks.checkpoint(tmp_path), epochs=2, resume=tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


def test_a_folder_with_a_run_that_was_further(tmp_path):
    fit(callbacks.checkpoint(tmp_path), epochs=2)
    with pytest.raises(ValueError, match="holds a checkpoint of epoch 2, and this run starts at epoch 0: resume"):
        fit(callbacks.checkpoint(tmp_path), epochs=3)


# --- time limit -------------------------------------------------------------------------------------------------------


def test_time_limit(monkeypatch):
    clock = types.SimpleNamespace(now=50.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    limit = callbacks.time_limit(3)
    limit.on_start(fake(0))
    assert limit.on_segment(fake(1)) is False
    clock.now = 53.0
    assert limit.on_segment(fake(2)) is True


def test_time_limit_stops_a_run():
    run = fit(callbacks.time_limit(1e-9))
    assert (run.epoch, run.result) == (1, "stopped")


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_one_plain_line_where_there_is_no_terminal(capsys):
    fit(callbacks.progress())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("epoch 6/6  loss ")
    assert "validation accuracy" in lines[0]
    assert "steps/s" in lines[0]
    assert "\x1b" not in lines[0]


def test_progress_lines_are_spaced(capsys, monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: clock.now)
    one = callbacks.progress(seconds=5)
    one.on_start(fake(0, epochs=100))
    for epoch in range(1, 31):
        clock.now += 1.0
        one.on_segment(fake(epoch, epochs=100))
    one.on_end(fake(30, epochs=100, result="stopped"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["5/100", "10/100", "15/100", "20/100", "25/100", "30/100", "30/100"]
    assert lines[0] == "epoch 5/100  loss 0.2  accuracy 0.5  1,234 steps/s  1:35 left"
    assert lines[-1].endswith("0:30 in all")


def test_progress_bar_in_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    fit(callbacks.progress())
    text = terminal.getvalue()
    assert "epoch 6/6" in text
    assert "validation accuracy" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is hidden, and shown again


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"epoch": 1, "loss": 2.0, "seconds": 1, "learning_rate": 0.1}, None),
        ({"loss": 2.0, "accuracy": 0.5}, ("accuracy", 0.5)),
        ({"loss": 2.0, "accuracy": 0.5, "validation_loss": 3.0}, ("validation_loss", 3.0)),
        ({"loss": 2.0, "a": 0.5, "validation_loss": 3.0, "validation_a": 0.4}, ("validation_a", 0.4)),
    ],
)
def test_headline(row, shown):
    assert callbacks.headline(row) == shown


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.9, "9.9 s"), (61, "1:01"), (3723.6, "1:02:04")])
def test_clock(seconds, text):
    assert callbacks._clock(seconds) == text


# --- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: callbacks.csv(3), TypeError, "path must be a path; got 3"),
        (lambda p: callbacks.csv(""), TypeError, "path must be a path; got ''"),
        (lambda p: callbacks.csv(p), ValueError, "path must be a file for the rows"),
        (lambda p: callbacks.curves(p), ValueError, "path must be a file for the picture"),
        (lambda p: callbacks.curves(p / "c.png", seconds=0), ValueError, "seconds must be > 0; got 0"),
        (lambda p: callbacks.tensorboard(p / "file"), ValueError, "folder must be a folder; .* is a file"),
        (lambda p: callbacks.checkpoint(p / "file"), ValueError, "folder must be a folder; .* is a file"),
        (lambda p: callbacks.checkpoint(p, every=0), ValueError, "every must be >= 1; got 0"),
        (lambda p: callbacks.checkpoint(p, every=1.5), TypeError, "every must be a whole number; got 1.5"),
        (lambda p: callbacks.checkpoint(p, seconds=-1), ValueError, "seconds must be > 0; got -1"),
        (lambda p: callbacks.checkpoint(p, keep=0), ValueError, "keep must be >= 1; got 0"),
        (lambda p: callbacks.time_limit(0), ValueError, "seconds must be > 0; got 0"),
        (lambda p: callbacks.time_limit("1"), TypeError, "seconds must be a number; got '1'"),
        (lambda p: callbacks.progress(seconds=float("nan")), ValueError, "seconds must be > 0; got nan"),
    ],
)
def test_refused(tmp_path, make, error, message):
    (tmp_path / "file").write_text("")
    with pytest.raises(error, match=message):
        make(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("module", "make", "message"),
    [
        ("matplotlib.backends.backend_agg", lambda p: callbacks.curves(p / "c.png"), "pictures need matplotlib"),
        ("tensorboardX.event_file_writer", lambda p: callbacks.tensorboard(p), "event files need tensorboardX"),
        ("rich.progress", lambda p: callbacks.progress(), "the progress bar needs rich"),
    ],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, module, make, message):
    def use(one):
        one.on_start(fake(0))
        one.on_end(fake(2))

    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with pytest.raises(ModuleNotFoundError, match=message):
        use(make(tmp_path))
