"""Lanes shared out over eight simulated devices, in a process of its own: their number is chosen before jax starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
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


def test_lanes_on_eight_devices_have_the_bits_of_one_and_pass_nothing():
    settings = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"), "JAX_NUMPY_RANK_PROMOTION": "raise",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT], env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "8 devices, 2 lanes on each" in done.stdout
    assert "num_partitions=8" in done.stdout
    assert "while(" in done.stdout
    assert not re.findall(r"(?:all-reduce|all-gather|all-to-all|collective|reduce-scatter)\S*\(", done.stdout)
