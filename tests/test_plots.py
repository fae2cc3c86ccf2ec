"""Pictures: what is drawn, into which file, and what is refused."""

import sys

import numpy as np
import pytest

from jaxdict import plots


def history(epochs: int, *metrics: str, validation: bool = True) -> dict[str, np.ndarray]:
    e = np.arange(1, epochs + 1, dtype=float)
    columns = {"epoch": e, "loss": 2 * np.exp(-e / 5)} | {m: 1 - np.exp(-e / 3) for m in metrics}
    if validation:
        held = {"validation_loss": (e - 0.6 * epochs) ** 2 + 0.1} | {f"validation_{m}": e / 50 for m in metrics}
        columns |= held
    return columns | {"learning_rate": e * 1e-3, "seconds": e, "steps_per_second": e}


def titles(figure) -> list[str]:
    return [axis.get_title(loc="left") for axis in figure.axes]


def test_panels_lines_and_best_epoch(tmp_path):
    path = tmp_path / "curves.png"
    figure = plots.curves(history(10, "accuracy", "mean_absolute_error"), path, title="a run")
    assert titles(figure) == ["loss", "accuracy", "mean absolute error"]
    loss = figure.axes[0]
    assert [line.get_label() for line in loss.lines[:2]] == ["training", "validation"]
    np.testing.assert_allclose(loss.lines[0].get_ydata(), history(10)["loss"])
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["training", "validation", "best epoch: 6"]
    assert "0.1 at best" in loss.get_title(loc="right")
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    from matplotlib.image import imread

    assert imread(path).shape[:2] == (600, 1000)
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_given_best_epoch_and_other_formats(tmp_path):
    figure = plots.curves(history(10), tmp_path / "curves.svg", best=3)
    assert "best epoch: 3" in [t.get_text() for t in figure.legends[0].get_texts()]
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


def test_a_single_epoch_without_validation():
    figure = plots.curves(history(1, validation=False))
    assert titles(figure) == ["loss"]
    assert len(figure.axes[0].lines[0].get_xdata()) == 1


def test_values_that_are_not_finite_leave_gaps():
    columns = history(5, "accuracy")
    columns["loss"][4] = np.inf
    columns["validation_loss"][:] = np.nan
    figure = plots.curves(columns)
    assert np.isnan(figure.axes[0].lines[0].get_ydata()[4])
    assert all("best" not in t.get_text() for t in figure.legends[0].get_texts())


def test_wide_ranges_are_logarithmic():
    columns = history(8, validation=False)
    columns["loss"] = np.logspace(0, -4, 8)
    assert plots.curves(columns).axes[0].get_yscale() == "log"
    assert plots.curves(history(3, validation=False)).axes[0].get_yscale() == "linear"


def test_at_most_six_panels():
    assert len(plots.curves(history(4, *"abcdefgh")).axes) == 6


def test_pyplot_is_left_alone():
    plots.curves(history(3))
    if "matplotlib.pyplot" in sys.modules:
        assert not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"loss": [1.0]}, {}, "column 'epoch'; got loss"),
        ({}, {}, "got no column"),
        ({"epoch": [], "loss": []}, {}, "holds no epoch yet"),
        (history(3), {"best": 7}, "best must be an epoch of the history; got 7"),
    ],
)
def test_refused(columns, options, message):
    with pytest.raises(ValueError, match=message):
        plots.curves(columns, **options)


def test_unknown_format(tmp_path):
    with pytest.raises(ValueError, match=r"no picture format '.pgn'; did you mean 'png'"):
        plots.curves(history(3), tmp_path / "a.pgn")
    assert not list(tmp_path.iterdir())
