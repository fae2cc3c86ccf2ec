"""The examples, run as a reader runs them: scripts in a process and a folder of their own, warnings as errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(script, folder):
    """The standard output of ``script``; compiled programs are kept between runs of the suite."""
    settings = {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", script], cwd=folder, env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(pattern, text):
    """The groups of the one place where ``pattern`` is found, as numbers."""
    found = re.findall(pattern, text)
    assert len(found) == 1, text
    return [float(n) for n in (found[0] if isinstance(found[0], tuple) else found)]


def quickstart(out):
    accuracy, loss = numbers(r"test accuracy (\S+), loss (\S+)", out)
    assert accuracy > 0.96
    assert loss < 0.2
    after, restored = numbers(r"stopped by an observer after epoch (\d+); parameters restored from epoch (\d+)", out)
    assert after == restored + 10
    steps, lowest = numbers(r"(\d+) steps; the lowest validation loss is (\S+)", out)
    assert steps == after * 41  # 1294 examples in batches of 32
    assert lowest < 0.2
    ((classes, labels),) = re.findall(r"classes \[(.*)\] labels \[(.*)\]", out)
    assert sum(a == b for a, b in zip(classes.split(), labels.split(), strict=True)) >= 7
    assert "loaded predictions are the same: True" in out
    assert "17,226 parameters" in out


def compose_a_formula(out):
    assert r"\hat{y}" in out
    assert numbers(r"pull with (\S+), the others with (\S+)", out)[0] == 0.5
    rows = re.findall(r"delta +(\S+): height (\S+), middle (\S+), rate (\S+)", out)
    fitted = {float(delta): [float(v) for v in values] for delta, *values in rows}
    assert fitted[0.1] == pytest.approx([3, 1, 2], abs=0.1)
    assert fitted[10.0][0] < 2.8  # pulled down by the wrong points


def optax_chain(out):
    rows = re.findall(r"test accuracy (\S+), loss (\S+)", out)
    assert len(rows) == 2
    assert all(float(accuracy) > 0.96 for accuracy, _ in rows)
    assert numbers(r"largest difference of the loss in an epoch: (\S+)", out)[0] < 1e-3
    (shown,) = re.findall(r"by epoch: (.*)", out)
    rates = [float(n) for n in re.findall(r"[\d.]+e-\d+", shown)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(3e-3, rel=0.05)
    assert rates[-1] == pytest.approx(1e-4, rel=0.05)


def own_loop(out):
    low, high, mean = numbers(r"alone: (\S+) to (\S+), mean (\S+)", out)
    assert 0.93 < low < high
    assert numbers(r"mean of their probabilities: (\S+)", out)[0] >= mean - 0.002
    losses = [float(n) for n in re.findall(r"loss (\S+) ±", out)]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)


def lanes(out):
    assert "<40 runs: 40 done>" in out
    rows = [[float(n) for n in row] for row in re.findall(r"learning rate (\S+): accuracy (\S+) ± (\S+)", out)]
    assert len(rows) == 8
    assert max(accuracy for _, accuracy, _ in rows) > 0.96
    assert rows[0][1] < 0.9  # after fifteen epochs at so low a rate
    assert 1e-3 < numbers(r"the best lane has the rate (\S+),", out)[0] < 5e-2


def ensemble(out):
    rows = re.findall(r"loss (\S+) and accuracy (\S+); the mean member (\S+) and (\S+)", out)
    assert len(rows) == 3
    assert all(float(a) < float(c) and float(b) >= float(d) for a, b, c, d in rows)
    assert "loaded predictions are the same: True" in out


def search_sklearn(out):
    rows = re.findall(r"(\S+) +(\S+) s for 40 fits; the best accuracy is (\S+), by", out)
    assert [name for name, *_ in rows] == ["scikit-learn", "lanes"]
    assert abs(float(rows[0][2]) - float(rows[1][2])) < 0.02


def backprop_by_hand(out):
    assert "  δ2 = 1·(1·0.8808 + 1·0.8808) = 1.762   ∂L/∂W(x1→2) = 1.762   ∂L/∂W(x2→2) = 3.523" in out
    assert numbers(r"largest difference to jax.grad: (\S+)", out)[0] < 1e-6


def universal_approximation(out):
    errors = {}
    for name, error in re.findall(r"(sin 2x|\|x\||step) +\d+ units: error (\S+)", out):
        errors.setdefault(name, []).append(float(error))
    assert all(len(each) == 4 for each in errors.values())
    for name in ("sin 2x", "|x|"):
        assert errors[name] == sorted(errors[name], reverse=True)
    assert errors["sin 2x"][-1] < 0.01
    assert errors["|x|"][-1] < 0.02
    assert errors["step"][-1] < 0.1  # it jumps: no width is exact there


def wide_and_deep(out):
    assert "324 parameters" in out
    assert numbers(r"r2 on the test part: (\S+)", out)[0] > 0.35
    error, spread = numbers(r"mean absolute error: (\d+), where (\d+) is", out)
    assert error < 0.7 * spread


def auxiliary_output(out):
    assert "<12 runs: 12 done> by 1 program" in out
    rows = re.findall(r"weight (\S+): accuracy (\S+), of the auxiliary output (\S+)", out)
    main, aux = ([float(row[i]) for row in rows] for i in (1, 2))
    assert len(rows) == 4
    assert min(main) > 0.92
    assert aux[0] < 0.3 < 0.9 < min(aux[1:])  # a weight of 0 teaches nothing


def transfer(out):
    rows = {n: float(a) for n, a in re.findall(r"(.+): accuracy (\S+),", out)}
    assert len(rows) == 8
    assert rows["convolutional, a head on frozen features"] > rows["dense, a head on frozen features"] + 0.05
    assert rows["dense, then all layers"] > rows["dense, a head on frozen features"]


def pretraining(out):
    assert numbers(r"turns of images held out: accuracy (\S+)", out)[0] > 0.8
    rows = [float(a) for a in re.findall(r"labels .*: accuracy (\S+),", out)]
    assert len(rows) == 4
    assert min(rows[2:]) > max(rows[:2])


CHECKED = (
    wide_and_deep,
    auxiliary_output,
    quickstart,
    compose_a_formula,
    optax_chain,
    own_loop,
    lanes,
    ensemble,
    search_sklearn,
    backprop_by_hand,
    universal_approximation,
    transfer,
    pretraining,
)
CHECKS = {f.__name__: f for f in CHECKED}


# What they show has tests of its own.
LONG = {
    "auxiliary_output", "ensemble", "lanes", "optax_chain", "own_loop", "pretraining", "quickstart", "search_sklearn",
    "transfer", "universal_approximation",
}  # fmt: skip
SCRIPTS = [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in LONG else []) for p in EXAMPLES]


@pytest.mark.parametrize("script", SCRIPTS)
def test_example(script, tmp_path):
    CHECKS[script.stem](run(script, tmp_path))
    assert len(script.read_text().splitlines()) <= 50
