"""Exact resume: a run that was stopped anywhere and goes on ends with the bits of one that never stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import checkpoint

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 60).astype(np.int32)
X = RNG.normal(size=(60, 4)).astype(np.float32) + Y[:, None].astype(np.float32)
HELD = (X[:20] + 0.5, Y[:20])
MODEL = jd.models.mlp([4, 8, 3], dropout=0.2)


def train(epochs, **options):
    given = {
        "key": 5, "batch_size": 16, "validation": HELD, "metrics": "accuracy",
        "observers": [jd.observers.early_stopping(patience=40)], "class_weight": {0: 2.0},
    }  # fmt: skip
    schedule = jd.schedules.exponential(0.02, 30, 0.8)
    return jd.fit(
        MODEL, "sparse_softmax_cross_entropy", jd.optimizers.adam(schedule), (X, Y), epochs=epochs, **given | options
    )


def same_run(a, b):
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    jax.tree.map(np.testing.assert_array_equal, a.optimizer_state, b.optimizer_state)
    assert (a.best.epoch, a.best.value) == (b.best.epoch, b.best.value)
    assert (a.epoch, a.step, a.result) == (b.epoch, b.step, b.result)
    for name in a.history:
        if name not in ("seconds", "steps_per_second"):
            np.testing.assert_array_equal(a.history[name], b.history[name], err_msg=name)


@pytest.fixture(scope="module")
def whole():
    return train(12)


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_resume_from_a_file_has_the_same_bits(whole, tmp_path, stop):
    path = train(stop).save(tmp_path / "run.safetensors")
    same_run(train(12, resume=path), whole)


def test_resume_from_a_run(whole):
    half = train(6)
    same_run(train(12, resume=half), whole)
    assert half.predict(X).shape == (60, 3)  # what it holds is its own


def test_resume_over_several_stops_and_segment_lengths(whole, tmp_path):
    path = tmp_path / "run.safetensors"
    train(3, segment_epochs=1).save(path)
    train(7, segment_epochs=4, resume=path).save(path)
    same_run(train(12, resume=path), whole)


def test_patience_and_restored_parameters_survive(tmp_path):
    options = {"observers": [jd.observers.early_stopping(patience=4)]}
    rate = jd.optimizers.adam(0.3)

    def run(epochs, **more):
        return jd.fit(MODEL, "sparse_softmax_cross_entropy", rate, (X, Y), key=5, batch_size=16, epochs=epochs,
                      validation=HELD, **options, **more)  # fmt: skip

    full = run(300)
    assert full.result == "stopped"
    path = run(full.epoch - 2).save(tmp_path / "run.safetensors")
    same_run(run(300, resume=path), full)
    assert run(300, resume=full).epoch == full.epoch  # what has stopped stays stopped


def test_a_finished_run_is_given_back(whole, tmp_path):
    path = whole.save(tmp_path / "run.safetensors")
    again = train(12, resume=path)
    same_run(again, whole)
    assert list(again.history) == list(whole.history)
    assert again.message == whole.message


def test_load_run_predicts_and_evaluates(whole, tmp_path):
    path = whole.save(tmp_path / "run.safetensors")
    run = jd.load_run(path)
    np.testing.assert_array_equal(run.predict(X), whole.predict(X))
    assert run.evaluate(HELD) == whole.evaluate(HELD)
    assert run.history["loss"].tolist() == whole.history["loss"].tolist()
    assert (run.result, run.message, run.step) == (whole.result, whole.message, whole.step)
    assert run.model is MODEL
    with pytest.raises(ValueError, match=r"inputs must have the shape \(n, 4\)"):
        run.predict(X[:, :3])


@pytest.mark.slow
def test_load_run_of_a_foreign_model_asks_for_it(tmp_path):
    model = jd.models.Model(MODEL.init, MODEL.apply)
    run = jd.fit(model, lambda p, t: (p - t).sum(-1) ** 2, "adam", (X, X[:, :3]), key=0, epochs=1)
    path = run.save(tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match=r"was not made of dictionary names; give it as model=…"):
        jd.load_run(path)
    with pytest.raises(ValueError, match=r"is not in the dictionary; give it as loss=…"):
        jd.load_run(path, model=model)
    loaded = jd.load_run(path, model=model, loss="l2")
    np.testing.assert_array_equal(loaded.predict(X), run.predict(X))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": 6}, r"key was \[0, 5\] and is \[0, 6\] now"),
        ({"batch_size": 20}, "batch_size was 16 and is 20 now"),
        ({"validation": (X[:19], Y[:19])}, "it was trained on other data"),
        ({"class_weight": None}, "it was trained on other data"),
        ({"weight_normalization": "weights"}, "weight_normalization was 'count' and is 'weights' now"),
        ({"precision": "bfloat16"}, "precision was 'float32' and is 'bfloat16' now"),
        ({"metrics": None}, "history/"),
    ],
)
def test_resuming_another_run_is_an_error_that_names_the_difference(tmp_path_factory, change, message):
    path = tmp_path_factory.getbasetemp() / "three.safetensors"
    if not path.exists():
        train(3).save(path)
    with pytest.raises(ValueError, match=message):
        train(5, resume=path, **change)


def test_another_models_checkpoint_names_the_first_difference(tmp_path):
    path = train(2).save(tmp_path / "run.safetensors")
    other = jd.models.mlp([4, 9, 3], dropout=0.2)
    rate = jd.schedules.exponential(0.02, 30, 0.8)
    with pytest.raises(checkpoint.CheckpointError, match=r"dense_1.*\(8,\).*\(9,\)|dense_1.*\(9,\).*\(8,\)"):
        jd.fit(other, "sparse_softmax_cross_entropy", jd.optimizers.adam(rate), (X, Y), key=5,
               epochs=4, batch_size=16, validation=HELD, metrics="accuracy", class_weight={0: 2.0},
               observers=[jd.observers.early_stopping(patience=40)], resume=path)  # fmt: skip


def test_a_damaged_checkpoint_is_an_error_and_the_older_one_is_used(tmp_path, whole):
    for epoch in (3, 6):
        checkpoint.save_numbered(tmp_path, epoch, train(epoch))
    newest = max(tmp_path.iterdir())
    content = bytearray(newest.read_bytes())
    content[-9] ^= 1
    newest.write_bytes(content)
    with pytest.raises(checkpoint.CheckpointError, match=newest.name):
        train(12, resume=newest)
    with pytest.warns(RuntimeWarning, match=newest.name):
        run = train(12, resume=tmp_path)
    same_run(run, whole)
    (tmp_path / "empty").mkdir()
    with pytest.raises(checkpoint.CheckpointError, match="holds no checkpoint"):
        train(12, resume=tmp_path / "empty")


def test_a_plain_tree_is_no_run(tmp_path):
    checkpoint.save(tmp_path / "tree.safetensors", {"a": np.zeros(3, np.float32)})
    with pytest.raises(checkpoint.CheckpointError, match="holds no run"):
        train(2, resume=tmp_path / "tree.safetensors")
    with pytest.raises(checkpoint.CheckpointError, match="holds no run"):
        jd.load_run(tmp_path / "tree.safetensors")


# ---------------------------------------------------------------------------------------------------- killed

CONFIG = """
[data]
source = "iris"
seed = 1

[model]
hidden = [16]
dropout = 0.1

[optimizer]
name = "adam"
learning_rate = 3e-3

[training]
epochs = {epochs}
batch_size = 16
metrics = ["accuracy"]
segment_epochs = 20
compilation_cache = "{cache}"

[training.early_stopping]
patience = 1000000

[output]
checkpoint_seconds = 0.05
tensorboard = false
curves = false
"""


def killed_runs(config: Path, folder: Path, kills: int, seed: int) -> int:
    """``jaxdict train`` to the end, killed ``kills`` times at random moments; gives how many struck."""
    pause = random.Random(seed)
    struck = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-m", "jaxdict", "train", config, "--out", folder, "--resume"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        if struck < kills:
            # Not before it has written something new, so that kills strike a run and not its imports.
            before = sorted(folder.glob("checkpoints/*.safetensors"))
            while process.poll() is None and sorted(folder.glob("checkpoints/*.safetensors")) == before:
                time.sleep(0.005)
            time.sleep(pause.uniform(0, 0.5))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                struck += 1
                process.wait()
                process.stdout.close()
                continue
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return struck


def check_kills(tmp_path, kills, epochs, seed):
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(epochs=epochs, cache=tmp_path / "cache"))
    killed_runs(config, tmp_path / "whole", 0, 0)
    assert killed_runs(config, tmp_path / "killed", kills, seed) == kills
    wanted, got = (
        checkpoint.read(checkpoint.latest(tmp_path / name / "checkpoints"))[0] for name in ("whole", "killed")
    )
    for tree in (wanted, got):
        del tree["history"]["seconds"], tree["history"]["steps_per_second"]
    jax.tree.map(np.testing.assert_array_equal, got, wanted)
    assert wanted["history"]["loss"].shape == (epochs,)
    rows = (tmp_path / "killed" / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", *map(str, range(1, epochs + 1))]


def test_a_killed_run_ends_with_the_same_bits(tmp_path):
    check_kills(tmp_path, kills=2, epochs=6000, seed=1)


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_with_the_same_bits(tmp_path):
    check_kills(tmp_path, kills=20, epochs=120_000, seed=2)  # long enough on a quick machine too
