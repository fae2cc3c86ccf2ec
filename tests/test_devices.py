"""Eight simulated devices, in processes of their own: the number is chosen before jax starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LANES = """
import jax
import numpy as np

import jaxdict as jd
from jaxdict.lanes import _blocks
from small_run import HELD, LOSS, MODEL, X, Y, same_bits

compiled = []
make = _blocks._block_program


def watched(*arguments):
    made = make(*arguments)

    def segment(*inputs):
        if not compiled:
            compiled.append(made.segment.lower(*inputs).compile().as_text())
        return made.segment(*inputs)

    segment._cache_size = made.segment._cache_size
    return made._replace(segment=segment)


stop = jd.observers.early_stopping(patience=2)
rng = np.random.default_rng(0)
options = {
    "keys": range(21), "hyperparameters": {"learning_rate": np.linspace(0.003, 0.3, 21)}, "epochs": 9,
    "batch_size": 16, "validation": HELD, "metrics": "accuracy", "observers": [stop],
    "sample_weight": rng.uniform(0.5, 1.5, (21, len(X))),
}
train = lambda **how: jd.fit_lanes(MODEL, LOSS, jd.optimizers.adam, (X, Y), **options, **how)
alone = train(width=2, workers=1)
_blocks._block_program = watched
runs = train(width=15, devices=jax.devices())
assert (runs.plan.width, len(runs.plan.devices)) == (16, 8)
assert len({run.epoch for run in runs}) > 2
for run, other in zip(runs, alone, strict=True):
    same_bits((run.params, run.optimizer_state, run.history["loss"]),
              (other.params, other.optimizer_state, other.history["loss"]))
    assert (run.epoch, run.result, run.message) == (other.epoch, other.result, other.message)
np.testing.assert_array_equal(runs[3].predict(X), alone[3].predict(X))
print(runs.plan.why)
print(compiled[0])
"""


BATCHES = """
import jax
import numpy as np

import jaxdict as jd
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, same_bits

def train(model, **how):
    options = {"key": 3, "batch_size": 16, "epochs": 6, "validation": HELD, "metrics": "accuracy"} | how
    return jd.fit(model, LOSS, jd.optimizers.adam(0.01), (X, Y), **options)
"""
SHARED = """
alone, shared = train(MODEL), train(MODEL, device=jax.devices())
for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
    np.testing.assert_allclose(shared.history[name], alone.history[name], rtol=1e-5)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), shared.params, alone.params)
try:
    train(MODEL, device=jax.devices()[:3])
except ValueError as error:
    assert "multiple of the devices' number; got 16 and 3" in str(error)
else:
    raise AssertionError
"""
MORE = """
noisy = jd.models.mlp([4, 8, CLASSES], activation="tanh", dropout=0.2, batch_norm="before")
alone, shared = train(noisy), train(noisy, device=jax.devices())
np.testing.assert_allclose(shared.history["validation_loss"], alone.history["validation_loss"], rtol=1e-5)
np.testing.assert_allclose(shared.predict(X), alone.predict(X), rtol=1e-4, atol=1e-5)
path = train(noisy, device=jax.devices(), epochs=2).save("halfway.safetensors")
same_bits(train(noisy, device=jax.devices(), resume=path).params, shared.params)
job = shared._job
lowered = job.program.segment.lower(shared._carry, job.data, job.keys, job.hyperparameters, np.int32(6))
assert "all-reduce" in lowered.compile().as_text()  # of what each device's examples give
batches = lambda: ((X[i : i + 16], Y[i : i + 16]) for i in (0, 16, 32))
alone, shared = (jd.fit(MODEL, LOSS, "adam", batches, key=3, epochs=3, device=d) for d in (None, jax.devices()))
np.testing.assert_allclose(shared.history["loss"], alone.history["loss"], rtol=1e-5)
"""


def run(script, folder):
    settings = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), "JAX_NUMPY_RANK_PROMOTION": "raise",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=folder,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lanes_have_the_bits_of_one_device_and_pass_nothing(tmp_path):
    out = run(LANES, tmp_path)
    assert "8 devices, 2 lanes on each" in out
    assert "num_partitions=8" in out
    assert "while(" in out
    assert not re.findall(r"(?:all-reduce|all-gather|all-to-all|collective|reduce-scatter)\S*\(", out)


def test_batches_that_are_shared_out_train_the_same_run(tmp_path):
    run(BATCHES + SHARED, tmp_path)


@pytest.mark.slow
def test_so_do_those_of_models_with_noise_and_statistics_resumed_and_from_outside(tmp_path):
    run(BATCHES + MORE, tmp_path)
