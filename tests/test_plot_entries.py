"""Pictures of entries: every one that can be drawn is, with labels, and shows what the formula gives."""

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.image import imread
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import _expression, cli, plots
from jaxdict.plots import _canvas, _draws, _functions, _steps, entries

DRAWN = [e for e in jd.entries() if e.kind in entries._KINDS]


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def texts(figure):
    """The name, and the equations below it."""
    name, *equations = [t.get_text() for t in figure.texts]
    return name, equations


FIRST = {entry.kind: entry for entry in reversed(DRAWN)}  # of every kind, drawn in every run; the rest is slow
EACH = [e if e is FIRST[e.kind] else pytest.param(e, marks=pytest.mark.slow) for e in DRAWN]


@pytest.mark.parametrize("entry", EACH, ids=lambda e: f"{e.kind}-{e.name}")
def test_every_entry_is_drawn(entry):
    figure = plots.draw(entry)
    name, equations = texts(figure)
    assert name == f"{entry.kind} {entry.name}"
    assert bool(equations) == bool(entry.expression)
    bars = [axis for axis in figure.axes if axis.get_label() == "<colorbar>"]
    axes = [axis for axis in figure.axes if axis not in bars]
    assert axes
    for axis in axes:
        assert axis.get_xlabel()
        assert axis.get_ylabel() or axis.get_legend() or entry.kind == "normalization"
        assert axis.has_data()
        assert np.isfinite([*axis.get_xlim(), *axis.get_ylim()]).all()
    figure.set_layout_engine("none")
    figure.canvas.draw()
    assert np.asarray(figure.canvas.buffer_rgba()).shape == (500, 1000, 4)


def lines(figure, axis=0):
    """Label -> the points of all lines of its colour, gaps left out."""
    drawn = {}
    for line in figure.axes[axis].lines:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if len(x) > 2:
            label = next(o.get_label() for o in figure.axes[axis].lines if o.get_color() == line.get_color())
            drawn.setdefault(label, []).append((x[np.isfinite(y)], y[np.isfinite(y)]))
    return {label: tuple(np.concatenate(part) for part in zip(*pieces, strict=True)) for label, pieces in drawn.items()}


def markers(figure, axis=0):
    """What is marked: (x, y, filled)."""
    return {
        (round(float(m.get_xdata()[0]), 3), round(float(m.get_ydata()[0]), 3), m.get_markerfacecolor() != "white")
        for m in figure.axes[axis].lines
        if m.get_marker() == "o" and len(m.get_xdata()) == 1
    }


def test_an_activation_has_its_value_derivative_and_kinks():
    figure = plots.draw("leaky relu")
    drawn = lines(figure)
    x, y = drawn["value"]
    np.testing.assert_allclose(y, np.where(x > 0, x, 0.01 * x), rtol=1e-5)
    x, y = drawn["derivative"]
    np.testing.assert_allclose(y, np.where(x > 0, 1, 0.01), rtol=1e-5)
    assert markers(figure) == {(0.0, 0.0, True), (0.0, 0.01, True), (0.0, 1.0, False)}
    assert (x.min(), x.max()) == (-5, 5)
    assert len(texts(figure)[1]) == 2


def test_a_kink_outside_of_the_usual_range_is_shown():
    low, high = plots.draw("relu6").axes[0].get_xlim()
    assert low < -5
    assert high > 7


def test_a_jump_that_no_kink_is_stated_for_is_a_gap():
    figure = plots.draw("hinge")
    _, y = lines(figure, 1)["target 1"]
    assert set(np.round(y, 6)) == {-1.0, 0.0}
    for line in figure.axes[1].lines:
        if len(line.get_ydata()) > 2:
            assert np.nanmax(np.abs(np.diff(line.get_ydata()))) < 0.5


def test_a_softmax_is_drawn_by_components():
    figure = plots.draw("softmax")
    left, right = lines(figure, 0), lines(figure, 1)
    np.testing.assert_allclose(sum(y for _, y in left.values()), 1, atol=1e-5)
    np.testing.assert_allclose(sum(line.get_ydata() for line in figure.axes[1].lines[:3]), 0, atol=1e-6)
    assert len(left) == 3
    assert right


def test_a_loss_is_drawn_against_what_it_is_about():
    ((x, y),) = lines(plots.draw("huber")).values()
    np.testing.assert_allclose(y, np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5), atol=1e-5)
    figure = plots.draw("sigmoid cross entropy")
    assert figure.axes[0].get_xlabel() == "logit z"
    x, y = lines(figure)["target 1"]
    np.testing.assert_allclose(y, np.log1p(np.exp(-x)), rtol=1e-5)
    figure = plots.draw("softmax cross entropy")
    assert "right class" in figure.axes[0].get_xlabel()
    (x, slope), *_ = lines(figure, 1).values()
    np.testing.assert_allclose(slope, 1 / (1 + np.exp(-x)) - 1, atol=1e-6)


def test_a_penalty_shows_its_shrinkage():
    figure = plots.draw(jd.lookup("l1", kind="penalty"))
    x, shrunk = lines(figure, 1)["shrunk weight"]
    np.testing.assert_allclose(shrunk, np.sign(x) * np.maximum(np.abs(x) - 1, 0), atol=5e-3)
    assert (0.0, 0.0, True) in markers(figure)
    assert (0.0, 1.0, False) in markers(figure)


def test_a_histogram_lies_under_its_density():
    for name in ("normal", "truncated normal", "he normal", "he uniform"):
        figure = plots.draw(name)
        axis = figure.axes[1] if len(figure.axes) > 1 else figure.axes[0]
        heights, edges, _ = axis.patches[0].get_data()
        centres = (edges[1:] + edges[:-1]) / 2
        (density,) = [line for line in axis.lines if len(line.get_xdata()) > 100]
        expected = np.interp(centres, density.get_xdata(), density.get_ydata())
        inner = slice(2, -2)
        assert np.abs(heights - expected)[inner].mean() < 0.06 * expected.max()


def test_an_optimizer_walks_to_the_minimum():
    figure = plots.draw("gradient descent")
    path = next(line for line in figure.axes[0].lines if line.get_marker() == ".")
    points = np.stack([path.get_xdata(), path.get_ydata()], -1)
    np.testing.assert_allclose(points[0], _steps._START)
    assert len(points) == _steps._STEPS + 1
    assert np.linalg.norm(points[-1]) < 1e-3
    heights = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(heights[0], (2.4**2 + 8 * 1.1**2) / 2, rtol=1e-6)
    rate = (points[0] - points[1]) / (points[0] * [1, 8])  # what the picture says was used
    np.testing.assert_allclose(rate[0], rate[1], rtol=1e-4)
    assert f"learning_rate = {rate[0]:.2g}," in figure.axes[1].get_xlabel()


def test_a_schedule_is_its_values():
    line = plots.draw("cosine annealing").axes[0].lines[0]
    steps = np.asarray(line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), 0.05 * (1 + np.cos(np.pi * np.minimum(steps, 100) / 100)), atol=1e-7)


def test_before_and_after():
    said = [
        t.get_text() for t in plots.draw(jd.lookup("batch norm", kind="normalization")).axes[2].get_legend().get_texts()
    ]
    assert said[1].endswith("mean -0.00, deviation 1.00") or said[1].endswith("mean 0.00, deviation 1.00")
    said = [t.get_text() for t in plots.draw(jd.lookup("dropout", kind="noise")).axes[1].get_legend().get_texts()]
    assert said[0] == "before: mean 1.00, deviation 0.50"
    assert said[1].startswith("after: mean 1.0")


def test_metrics_fall_as_predictions_get_worse():
    for name, sign in (("accuracy", -1), ("mean_absolute_error", 1)):
        axis = plots.draw(jd.lookup(name, kind="metric")).axes[0]
        assert sign * (axis.lines[0].get_ydata()[-1] - axis.lines[0].get_ydata()[0]) > 0.2


# ---------------------------------------------------------------------------------------------------- mathematics


def test_cases_become_rows_behind_a_brace():
    tex = _canvas.typeset(_expression.latex("cases((x, x > 0), (alpha*x, True))"))
    assert tex.startswith(r"\genfrac{\{}{.}{0}{0}{x \quad")
    assert "cases" not in tex
    assert "text" not in tex
    nested = _canvas.typeset(_expression.latex("cases((a, x > 0), (cases((b, x > 3), (c, True)), x < 3), (d, True))"))
    assert nested.count(r"\genfrac{\{}{.}") == 2
    assert nested.count(r"\genfrac{}{}") == 1
    assert _canvas.typeset(r"a \leftarrow \left(b\right)") == r"a \leftarrow (b)"
    assert _canvas.typeset(r"g \min\left(1\right)") == r"g\,\min(1)"


def test_long_equations_are_made_to_fit():
    figure = _canvas.figure(5, 3)
    figure.subplots()
    _canvas.headline(figure, "a name", ["x = " + " + ".join("abcdefghij" * 4), "x"])
    _, long, short = figure.texts
    assert long.get_fontsize() < short.get_fontsize() == 14
    assert long.get_window_extent().x1 <= figure.bbox.width + 1 or long.get_fontsize() == _canvas._SMALLEST
    assert short.get_window_extent().y1 < long.get_window_extent().y0


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("epoch", "the term epoch is words alone; jaxdict show epoch says what it is"),
        ("dense", "the layer dense is no formula that a picture shows"),
        ("flip", r"the augmentation flip is drawn by jaxdict.contact_sheet.contact_sheet\('flip'\)"),
    ],
)
def test_what_has_no_picture(name, message):
    with pytest.raises(ValueError, match=message):
        plots.draw(name)


def test_metrics_that_fit_no_data_and_normalizations_that_change_nothing():
    entry = jd.lookup("accuracy", kind="metric")
    with pytest.raises(ValueError, match="the metric accuracy takes none of the data that this picture makes up"):
        _functions._task(entry, lambda predictions, targets: jnp.nan)

    class Wrong:
        name, kind, function = "folded", "normalization", staticmethod(lambda x: (x[:3],))

    with pytest.raises(ValueError, match="the normalization folded gives no changed activations: nothing to draw"):
        _draws.normalization(plots.figure(), Wrong)

    class Unknown:
        name, kind, function = "unknown", "normalization", staticmethod(lambda x, *, moon: x)

    with pytest.raises(ValueError, match="the normalization unknown needs moon, which the picture has no value for"):
        _draws.normalization(plots.figure(), Unknown)

    class Diverging:
        name, kind = "diverging", "optimizer"

        @staticmethod
        def function(learning_rate):
            import optax

            return optax.scale(jnp.nan * learning_rate)

    with pytest.raises(ValueError, match="the optimizer diverging comes to no finite place on the bowl"):
        _steps.optimizer(plots.figure(), Diverging)


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="no entry is called 'rleu'; did you mean 'relu'"):
        plots.draw("rleu")


# ------------------------------------------------------------------------------------------------ the command line


def test_plot_writes_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("plot", "leaky", "relu")
    assert (result.exit_code, result.stdout) == (0, "activation leaky_relu: leaky_relu.png\n")
    assert imread("leaky_relu.png").shape[:2] == (500, 1000)
    result = call("plot", "l1", "--kind", "penalty", "--out", tmp_path / "a" / "b.svg")
    assert result.stdout == f"penalty l1: {tmp_path / 'a' / 'b.svg'}\n"
    assert (tmp_path / "a" / "b.svg").read_text().startswith("<?xml")
    before = (tmp_path / "leaky_relu.png").read_bytes()
    assert call("plot", "relu", "--out", "leaky_relu.png").exit_code == 0
    assert (tmp_path / "leaky_relu.png").read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "leaky_relu.png"]


def test_plot_of_an_augmentation_is_a_sheet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("plot", "flip")
    assert result.exit_code == 0, result.stderr
    assert imread("flip.png").shape[1] == 1200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rleu"], "no entry is called 'rleu'; did you mean 'relu'"),
        (["epoch"], "the term epoch is words alone; jaxdict show epoch says what it is"),
        (["dense"], "the layer dense is no formula that a picture shows; jaxdict show dense"),
        (["relu", "--out", "new/relu.pgn"], "new/relu.pgn: no picture format '.pgn'; did you mean 'png'"),
        (["relu", "--kind", "los"], "kind must be one of"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = call("plot", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
