"""Two processes that train one run, each on two simulated devices: real processes, real sockets."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
START = """
import sys, time
import jax
import numpy as np
number, port = int(sys.argv[1]), sys.argv[2]
if port != "-":
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, number, heartbeat_timeout_seconds=10)
import jaxdict as jd
from small_run import CLASSES, HELD, LOSS, X, Y

stop = jd.observers.early_stopping(patience=30)
model = jd.models.mlp([4, 8, CLASSES], activation="tanh", dropout=0.2, batch_norm="before")

def train(data=(X, Y), **how):
    options = {"key": 3, "batch_size": 16, "validation": HELD, "metrics": "accuracy", "observers": [stop]} | how
    return jd.fit(model, LOSS, jd.optimizers.adam(0.01), data, device=jax.devices(), **options)

def keep(run, name):
    leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves((run.params, run.state, run.best)))}
    columns = {n: v for n, v in run.history.items() if n not in ("seconds", "steps_per_second")}
    np.savez(f"{name}-{number}.npz", predicted=run.predict(X), score=run.evaluate(HELD)["loss"],
             message=run.message, **leaves, **columns)
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def start(script, folder, *, alone=False):
    """The processes of a run; or one with as many devices in all."""
    settings = {
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={4 if alone else 2}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".jax_cache"),
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }  # fmt: skip
    port = "-" if alone else free_port()
    return [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", START + script, str(number), port], cwd=folder, text=True,
            env=os.environ | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for number in range(1 if alone else 2)
    ]  # fmt: skip


def finish(processes):
    """What they print; all of them end well."""
    said = [process.communicate(timeout=240)[0] for process in processes]
    assert not any(process.returncode for process in processes), "\n".join(said)
    return said


def same(a, b, **tolerance):
    assert a.files == b.files
    for name in a.files:
        if a[name].dtype.kind == "U" or not tolerance:
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        else:
            np.testing.assert_allclose(a[name], b[name], err_msg=name, **tolerance)


WHOLE = """
class Watch:
    called = 0
    def on_segment(self, run):
        self.called += 1
        assert np.isfinite(run.best.value) and run.params is not None  # by one process alone

watch = Watch()
kept = jd.callbacks.checkpoint("kept", every=4, seconds=None)
files = [kept, jd.callbacks.csv("rows.csv"), jd.callbacks.progress(), watch]
run = train(epochs=8, callbacks=files)
keep(run, "whole")
assert (watch.called > 0) is (number == 0)
assert all(leaf.is_fully_addressable for leaf in jax.tree.leaves((run.params, run.optimizer_state)))
batches = jd.data.stream(X, Y, batch_size=16, key=5)
keep(train(batches, epochs=3), "streamed")
ended = train(epochs=50, segment_epochs=1, callbacks=[lambda run: run.epoch == 3])  # the first process's word
assert (ended.epoch, ended.result) == (3, "stopped"), ended
"""


@pytest.mark.slow
def test_two_processes_train_the_run_of_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    finish(start(WHOLE, tmp_path / "one", alone=True))
    said = finish(start(WHOLE, tmp_path / "two"))
    assert "epoch 8/8" in said[0]
    assert "epoch 8/8" not in said[1]
    for name in ("whole", "streamed"):
        first, second = (np.load(tmp_path / "two" / f"{name}-{k}.npz") for k in (0, 1))
        same(first, second)
        same(first, np.load(tmp_path / "one" / f"{name}-0.npz"), rtol=1e-4, atol=1e-5)
    assert sorted(p.name for p in (tmp_path / "two" / "kept").iterdir()) == [
        "checkpoint-00000004.safetensors", "checkpoint-00000008.safetensors"
    ]  # fmt: skip


KILLED = """
from pathlib import Path
resume = "kept" if Path("kept").exists() else None
files = [jd.callbacks.checkpoint("kept", every=1, seconds=None), SLOW]
keep(train(epochs=12, segment_epochs=1, callbacks=files, resume=resume), "run")
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_one_is_killed_and_both_go_on_from_the_checkpoint(tmp_path, victim):
    for name in ("never", "killed"):
        (tmp_path / name).mkdir()
    finish(start(KILLED.replace("SLOW", "lambda run: None"), tmp_path / "never"))
    processes = start(KILLED.replace("SLOW", "lambda run: time.sleep(0.2)"), tmp_path / "killed")
    halfway = tmp_path / "killed" / "kept" / "checkpoint-00000004.safetensors"
    while not halfway.exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    processes[victim].kill()
    began = time.monotonic()
    processes[1 - victim].communicate(timeout=120)
    assert processes[1 - victim].returncode != 0
    print(f"the other ended {time.monotonic() - began:.1f} s later")
    processes[victim].communicate()
    assert not list((tmp_path / "killed").glob("*.npz"))
    finish(start(KILLED.replace("SLOW", "lambda run: None"), tmp_path / "killed"))
    for k in (0, 1):
        same(*(np.load(tmp_path / name / f"run-{k}.npz") for name in ("never", "killed")))


ERRORS = """
def broken(run):
    raise OSError("the disk is full")

for callback in (broken, type("AtStart", (), {"on_start": lambda self, run: broken(run)})()):
    try:
        train(epochs=2, callbacks=[callback])
    except OSError as error:
        assert number == 0, error
    except RuntimeError as error:
        assert number == 1 and "process 0 failed; its error is there" in str(error), error
    else:
        raise AssertionError
import optax
def other(data=(X, Y), **how):
    return jd.fit(model, LOSS, optax.adam(0.01 * (1 + number)), data, key=3, epochs=2, device=jax.devices(),
                  batch_size=16, **how)

streamed, other_stop = jd.data.stream(X, Y, batch_size=16, key=5), jd.observers.early_stopping(patience=1 + number)
for act, name in (
    (lambda: train((X + number, Y), epochs=2), "data"),
    (lambda: train(epochs=2, key=number), "key"),
    (lambda: other(), "program"),  # another learning rate, which no state tells
    (lambda: other(streamed), "program"),
    (lambda: train(streamed, epochs=2, observers=[other_stop]), "program"),
    (lambda: train(streamed, epochs=2, validation=(HELD[0] + number, HELD[1])), "validation"),
    (lambda: train([(X[:16] + number, Y[:16])], epochs=2), "first batch"),
):
    try:
        act()
    except ValueError as error:
        assert f"the same run; {name} of process 1 differs" in str(error), error
    else:
        raise AssertionError(name)
try:
    train(epochs=2, resume="nowhere.safetensors" if number else None)  # as where another has no such file
except (ValueError, RuntimeError) as error:
    assert ("no such file" if number else "process 1 failed; its error is there") in str(error), error
else:
    raise AssertionError
"""


@pytest.mark.slow
def test_an_error_in_one_ends_all(tmp_path):
    finish(start(ERRORS, tmp_path))


SPREAD = """
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxdict import checkpoint

mesh = Mesh(np.array(jax.devices()), ("a",))
like = {"w": jax.ShapeDtypeStruct((8, 3), np.float32, sharding=NamedSharding(mesh, PartitionSpec("a"))), "epoch": 3}
expected = np.arange(24, dtype=np.float32).reshape(8, 3)
if port != "-":
    w = jax.make_array_from_callback((8, 3), like["w"].sharding, lambda at: expected[at])
    checkpoint.save_sharded("kept", {"w": w, "epoch": 3})
found = checkpoint.load_sharded("kept", like)
for shard in found["w"].addressable_shards:
    np.testing.assert_array_equal(shard.data, expected[shard.index])
assert found["epoch"] == 3 and len(found["w"].addressable_shards) == (4 if port == "-" else 2)
"""


@pytest.mark.slow
def test_what_two_processes_write_one_reads(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    finish(start(SPREAD, tmp_path))
    finish(start(SPREAD, tmp_path, alone=True))


LANES = """
rates = np.geomspace(1e-3, 1e-1, 5)
count = 1 if port == "-" else 2
mine = slice(number, None, count)
runs = jd.fit_lanes(model, LOSS, jd.optimizers.adam, (X, Y), keys=range(5)[mine], epochs=4, validation=HELD,
                    hyperparameters={"learning_rate": rates[mine]})
losses = {str(lane): run.history["validation_loss"] for lane, run in zip(range(5)[mine], runs)}
np.savez(f"lanes-{number}.npz", **losses)
"""


@pytest.mark.slow
def test_each_process_takes_its_part_of_the_lanes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    finish(start(LANES, tmp_path / "one", alone=True))
    finish(start(LANES, tmp_path / "two"))
    whole = np.load(tmp_path / "one" / "lanes-0.npz")
    parts = {name: values for k in (0, 1) for name, values in np.load(tmp_path / "two" / f"lanes-{k}.npz").items()}
    assert sorted(parts) == sorted(whole.files) == list("01234")
    for name in parts:
        np.testing.assert_array_equal(parts[name], whole[name])
