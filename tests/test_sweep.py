"""``jaxdict sweep``: a search that a file describes, and what is left of it."""

import csv
import json

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import cli
from small_run import X, Y

SWEEP = """
[data]
source = "{source}"
target = "label"
test_fraction = 0.2
validation_fraction = 0.25

[model]
hidden = [6]

[training]
epochs = 3
batch_size = 16
metrics = ["accuracy"]

[sweep]
method = "{method}"
{more}

[sweep.space]
"optimizer.learning_rate" = {rates}
model.dropout = [0.0, 0.2]
"""
RATES = "{ low = 1e-3, high = 1e-1, log = true }"


@pytest.fixture
def write(tmp_path):
    data = tmp_path / "data.csv"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "d", "label"])
        writer.writerows([*row, "xyz"[label]] for row, label in zip(X.tolist(), Y.tolist(), strict=True))

    def write(method="random", more="candidates = 6", rates=RATES, text=SWEEP):
        path = tmp_path / "sweep.toml"
        path.write_text(text.format(source=data, method=method, more=more, rates=rates))
        return path

    return write


def run(*args):
    return CliRunner().invoke(cli.app, [str(arg) for arg in args])


def test_a_sweep_and_training_its_best(write, tmp_path):
    out = tmp_path / "out"
    result = run("sweep", write(), "--out", out)
    assert result.exit_code == 0, result.output
    assert "6 runs by 1 programs" in result.output
    assert sorted(p.name for p in out.iterdir()) == [
        "best.toml", "records.jsonl", "search.png", "table.csv", "table.json",
    ]  # fmt: skip
    rows = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores)
    best = jd.config.load(out / "best.toml")
    assert best.optimizer.learning_rate == float(rows[0]["optimizer.learning_rate"])
    assert best.model.dropout == float(rows[0]["model.dropout"])
    # A candidate is the run of its config from the key that the search says.
    experiment = jd.config.build(best)
    again = jd.fit(
        experiment.model, experiment.loss, experiment.optimizer, experiment.train, epochs=3, batch_size=16,
        key=jax.random.fold_in(jax.random.key(0), 0), validation=experiment.validation, metrics=["accuracy"],
    )  # fmt: skip
    np.testing.assert_allclose(again.history["validation_loss"].min(), scores[0], rtol=1e-5)
    held = (out / "records.jsonl").read_bytes()
    result = run("sweep", write(), "--out", out)
    assert result.exit_code == 2
    assert "is not empty; give --resume" in result.output
    result = run("sweep", write(), "--out", out, "--resume")
    assert result.exit_code == 0, result.output
    assert (out / "records.jsonl").read_bytes() == held


@pytest.mark.parametrize(
    ("method", "more", "rates", "runs"),
    [
        pytest.param(
            "grid", 'folds = 2\nseeds = 2\nmonitor = "validation_accuracy"', "[0.01, 0.03]", 16, marks=pytest.mark.slow
        ),
        ("halving", "candidates = 6\nfactor = 3", RATES, 6),
        ("hyperband", "factor = 3", RATES, 5),
    ],
)
def test_methods(write, tmp_path, method, more, rates, runs):
    table = jd.config.run_sweep(jd.config.load_sweep(write(method, more, rates)), tmp_path / "out")
    assert len(table.records) == runs
    assert not table.interrupted
    written = json.loads((tmp_path / "out" / "table.json").read_text())
    assert written["rows"][0]["score"] == table[0].score
    if method == "halving":
        assert [row.epochs for row in table] == [3, 3, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "[data]\nsource = 'digits'\n"}, r"needs a table \[sweep.space\]"),
        ({"method": "annealing"}, "sweep.method"),
        ({"more": "candidate = 3"}, "sweep.*candidate"),
        ({"rates": "{ low = 1.0, high = 0.1 }"}, "uniform needs low < high"),
        ({"rates": "{ low = 1.0, hihg = 2.0 }"}, "'high'"),
        ({"rates": "[0.1, -0.1]"}, "optimizer.learning_rate.*> 0"),
        ({"rates": '[0.1]\n"optimizer.learning_rat" = [1]'}, "learning_rat"),
        ({"rates": '[0.1]\n"model.widht" = [1]'}, "widht"),
        ({"method": "grid"}, "is an interval: a grid needs its values"),
        ({"more": 'monitor = "acuracy"'}, "'acuracy'"),
    ],
)
def test_bad_sweeps(write, tmp_path, change, message):
    result = run("sweep", write(**change), "--out", tmp_path / "out")
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(jd.config.ConfigError, match=message):
        jd.config.run_sweep(jd.config.load_sweep(write(**change)), tmp_path / "out")
