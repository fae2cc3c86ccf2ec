"""Pictures, animation and page of a race, and the race at the command line."""

import base64
import dataclasses
import json
import re

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image
from typer.testing import CliRunner

from jaxdict import cli, race
from jaxdict.race import animation, pictures
from jaxdict.race.results import ARRIVED


@pytest.fixture(scope="module")
def run():
    """Both of one method, so that they share what is drawn; one rate diverges."""
    return race.run(["gradient_descent", "sgd"], rates=np.array([1e-3, 3e-3, 1.0]), steps=6000)


@pytest.fixture(scope="module")
def many(run):
    """The same run under more names than go together on an axis, each at another chosen rate or way."""
    moved = [lanes._replace(path=lanes.path + 0.1 * i) for i, lanes in enumerate(run.lanes * 5)]
    names = tuple(f"optimizer_{i}" for i in range(len(moved)))
    return dataclasses.replace(run, optimizers=names, lanes=tuple(moved))


def texts(figure):
    return [artist.get_text() for artist in figure.findobj(Text)]


def test_ways_together(run, tmp_path):
    figure = race.paths(run, tmp_path / "ways.png")
    said = texts(figure)
    assert any(t.startswith("gradient_descent = sgd  η 0.003, ") and t.endswith(" steps") for t in said)
    assert {"from (2, −2)", "from (−3, 3)", "valley x → −∞", "valley y → −∞"} <= set(said)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 100]
    (way,) = lines
    np.testing.assert_allclose(np.stack(way.get_data(), 1), run.path("sgd", 0), atol=1e-6)
    with Image.open(tmp_path / "ways.png") as picture:
        assert picture.width == 1300


def test_ways_apart(many):
    figure = race.paths(many)
    assert len(figure.axes) == len(many.optimizers) == 10
    said = texts(figure)
    assert {"optimizer_0", "optimizer_9", "valley without an end"} <= set(said)
    assert sum(t.startswith("η 0.003, ") for t in said) == 10


def test_strips_show_the_destinations(run, tmp_path):
    figure = race.destinations(run, tmp_path / "strips.svg")
    for s, axis in enumerate(figure.axes):
        (mesh,) = axis.collections[:1]
        np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(2, 3), run.destinations[:, :, s])
        assert axis.get_xscale() == "log"
        np.testing.assert_allclose(axis.lines[0].get_xdata(), run.rates[run.chosen[:, s]])
    assert {"at the minimum", "diverged", "chosen"} <= set(texts(figure))
    assert (tmp_path / "strips.svg").read_text().startswith("<?xml")


def test_cells_of_the_strips_lie_around_their_rates():
    rates = np.array([1e-4, 1e-3, 1e-1])
    edges = pictures._edges(rates)
    assert (edges[:-1] < rates).all()
    assert (rates < edges[1:]).all()
    assert edges[1] == pytest.approx(10**-3.5)
    assert len(pictures._edges(np.array([0.3]))) == 2


def test_colors_differ(run):
    colors = pictures.place_colors(run)
    assert len(colors) == len(run.places) == len(set(colors))


def test_the_animation_runs_to_the_end(run, tmp_path):
    race.gif(run, tmp_path / "deep" / "race.gif")
    frames = []
    with Image.open(tmp_path / "deep" / "race.gif") as film:
        assert film.n_frames == len(animation.moments(run)) > 60
        for number in (0, film.n_frames - 1):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    blue = [np.abs(f - (0x00, 0x72, 0xB2)).sum(-1) < 30 for f in frames]
    assert blue[1].sum() > 2 * blue[0].sum() > 0  # a way has grown
    middle = frames[1].shape[1] // 2
    assert (blue[1] & ~blue[0])[:, :middle].any()
    assert (tmp_path / "deep" / "race.gif").stat().st_size < 400_000
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["race.gif"]


def test_frames_end_when_the_last_has_settled(run):
    counts = animation.moments(run)
    assert counts[0] == 1
    assert run.destinations[0, 1, 0] == ARRIVED
    assert run.kept_steps[counts[-1] - 1] == run.steps  # from (−3, 3) nobody arrives
    lanes = tuple(x._replace(**{name: getattr(x, name)[..., :1] for name in x._fields}) for x in run.lanes)
    one = dataclasses.replace(run, starts=run.starts[:1], lanes=lanes)
    last = one.kept_steps[animation.moments(one)[-1] - 1]
    assert one.settled[0, 1, 0] <= last < 1.1 * one.settled[0, 1, 0]


def test_the_page_holds_the_race_and_needs_nothing_else(run, tmp_path):
    race.page(run, tmp_path / "race.html")
    text = (tmp_path / "race.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert "{{" not in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, flags=re.S)[1])
    assert data["optimizers"] == list(run.optimizers)
    assert data["kept"] == run.kept_steps.tolist()
    assert [[int(c, 16) for c in s] for s in data["destinations"][0]] == run.destinations[0].T.tolist()
    assert data["settled"][1][0] == run.settled[1, :, 0].tolist()
    path = np.frombuffer(base64.b64decode(data["paths"][1][0]), "<i2").reshape(-1, 2)
    left, right, _, top = data["window"]
    unit = (right - left) / data["side"]
    np.testing.assert_allclose((left, top) + path * (unit, -unit), run.path("sgd", 0), atol=unit)
    assert len(text) < 250_000


def test_a_way_that_diverges_ends_where_it_is_finite(run, tmp_path):
    o = run.lanes[0]._replace(path=run.lanes[0].path[:, :, [2] * 3])
    wild = dataclasses.replace(run, optimizers=("wild",), lanes=(o,))
    assert np.isnan(wild.path("wild", 0)).any()
    race.page(wild, tmp_path / "wild.html")
    race.gif(wild, tmp_path / "wild.gif")
    figure = race.paths(wild)
    (way,) = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]
    assert np.isfinite(way.get_xdata()).all()


# ---------------------------------------------------------------------------------------------- the command line

SMALL = ("race", "--optimizers", "gradient_descent,sgd", "--rates", "1e-3:3e-3:3", "--steps", "30")


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_the_table():
    result = call(*SMALL, "--tolerance", "5.5", "--start", "2,-2", "--start", "-3,3")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "beale from (2, -2)"
    assert lines[1].split("  ")[0] == "optimizer"
    assert re.match(r"gradient_descent +0\.00\d+ +1 +\d\S* +at the minimum +3 of 3, 0\.001 to 0\.003$", lines[2])
    assert "beale from (-3, 3)" in lines


@pytest.mark.parametrize("suffix", ["png", "gif", "html"])
def test_files(tmp_path, suffix):
    path = tmp_path / "new" / f"race.{suffix}"
    result = call(*SMALL, "--function", "bowl", "--out", path)
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"\n{path}\n")
    starts = {"png": b"\x89PNG", "gif": b"GIF89a", "html": b"<!doctype html>"}
    assert path.read_bytes().startswith(starts[suffix])


def test_a_table_in_a_terminal(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "110")
    race.print_table(run)
    text = capsys.readouterr().out
    assert "rates that arrive" in text
    assert "gradient_descent" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--optimizers", "adm"], "no optimizer is called 'adm'; did you mean 'adam'"),
        (["--optimizers", "adam,"], "no optimizer is called ''"),
        (["--function", "beal"], "no function is called 'beal'; did you mean 'beale'"),
        (["--function", "nowhere:f"], "nowhere:f: cannot import 'nowhere'"),
        (["--start", "3;4"], "--start must be X,Y, such as 2,-2; got '3;4'"),
        (["--start", "3,4,5"], "--start must be X,Y"),
        (["--start", "nan,1"], "starts must be"),
        (["--rates", "1:2"], "--rates must be LOWEST:HIGHEST:COUNT, such as 1e-6:1e3:181; got '1:2'"),
        (["--rates", "1:2:3:4"], "--rates must be"),
        (["--rates", "2:1:5"], "the highest rate must be >= 2; got 1.0"),
        (["--steps", "0"], "steps must be >= 1; got 0"),
        (["--steps", "many"], "Invalid value for '--steps'"),
        (["--tolerance", "-1"], "tolerance must be > 0; got -1.0"),
        (["--out", "race.txt"], "race.txt: a race is written as .gif, .html, .png, .svg, .pdf; got 'txt'"),
        (["--out", "race"], "race: a race is written as"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    out = [] if "--out" in arguments else ["--out", "race.png"]
    result = call("race", *arguments, *out)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []
