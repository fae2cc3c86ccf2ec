"""Eight simulated devices, in processes of their own: the number is chosen before jax starts."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import lanes
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y

ROOT = Path(__file__).parents[1]
WATCHED = """
import jax
import numpy as np

import jaxdict as jd
from jaxdict import lanes
from jaxdict.lanes import _blocks
from small_run import CLASSES, HELD, LOSS, MODEL, X, Y, same_bits

eight = jax.devices()
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


def options(count, epochs):
    rates, weights = np.linspace(0.003, 0.3, count), np.random.default_rng(0).uniform(0.5, 1.5, (count, len(X)))
    return {
        "keys": range(count), "hyperparameters": {"learning_rate": rates}, "epochs": epochs, "batch_size": 16,
        "validation": HELD, "observers": [jd.observers.early_stopping(patience=2)], "sample_weight": weights,
    }


def refused(message, act):
    try:
        act()
    except (ValueError, TypeError) as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)
"""
LANES = """
train = lambda **how: jd.fit_lanes(MODEL, LOSS, jd.optimizers.momentum, (X, Y), **options(19, 9), **how)
alone = train(width=2, workers=1, devices=eight[3:4])
assert {d.id for leaf in jax.tree.leaves(alone[18].params) for d in leaf.devices()} == {3}
_blocks._block_program = watched
runs = train(width=15, devices=eight)
assert (runs.plan.width, len(runs.plan.devices)) == (16, 8)
assert len({run.epoch for run in runs}) > 2
for run, other in zip(runs, alone, strict=True):
    same_bits((run.params, run.optimizer_state, run.history["loss"]),
              (other.params, other.optimizer_state, other.history["loss"]))
    assert (run.epoch, run.result, run.message) == (other.epoch, other.result, other.message)
some = options(19, 9)
some |= {"keys": range(3), "sample_weight": some["sample_weight"][:3],
         "hyperparameters": {"learning_rate": some["hyperparameters"]["learning_rate"][:3]}}
few = lambda count: jd.fit_lanes(MODEL, LOSS, jd.optimizers.momentum, (X, Y), devices=eight, part_of=count, **some)
part = few(16)
assert part.plan.width == 16 and not part.compiles
same_bits([run.params for run in part], [run.params for run in runs[:3]])
refused("part_of must be >= 3; got 2", lambda: few(2))
print(runs.plan.why)
print(compiled[0])
"""
PLANS = """
need, GIB = lanes.Need(lane=100 * 2**20, shared=2 * 2**30), 2**30
plan = lanes.plan_lanes(400, devices=eight, need=need, memory=80 * GIB)  # 0.8*80/8 GiB less 2 hold 61 of 100 MiB
assert (plan.width, plan.workers) == (400, 1) and "8 devices, 50 lanes on each" in plan.why
plan = lanes.plan_lanes(4000, devices=eight, need=need, memory=80 * GIB)
assert plan.width == 8 * 61 and "in waves, for the memory has room for 61 lanes of 100 MiB on each" in plan.why
assert lanes.plan_lanes(4000, devices=eight, need=need, memory=80 * GIB, width=4000).width == 4000  # as asked for
assert lanes.plan_lanes(7, devices=eight, need=lanes.Need(lane=2**40)).width == 8  # one on each, whatever comes
assert lanes.plan_lanes(64, devices=eight, need=lanes.Need(1, 1, (1,))).width == 8
for how, found in (({"width": 8}, (8, 1)), ({"workers": 3}, (1, 3))):
    plan = lanes.plan_lanes(64, need=need, memory=3 * GIB, **how)
    assert (plan.width, plan.workers) == found
    assert ("only 1: the memory has room for 4 lanes of 100 MiB" in plan.why) is ("width" in how)
with jax.default_device(eight[5]):
    assert lanes.plan_lanes(4).devices == (eight[5],)
grid = np.array(eight[:4]).reshape(2, 2)
plan = lanes.plan_lanes(5, devices=grid)
assert (plan.width, plan.sharing, plan.devices) == (6, 2, tuple(eight[:4]))
assert "2 × 2 devices, 3 lanes on each row, which shares their batches out" in plan.why
refused("one or more in a row", lambda: lanes.plan_lanes(2, devices=[]))
refused("got the shape", lambda: lanes.plan_lanes(2, devices=grid[None]))
refused("must be different ones", lambda: lanes.plan_lanes(2, devices=eight[:1] * 2))
refused("axes ('lane', 'data'); got ('x',)", lambda: lanes.plan_lanes(2, devices=jax.sharding.Mesh(eight[:1], ("x",))))
"""
BATCHES = """
def train(model, **how):
    options = {"key": 3, "batch_size": 16, "epochs": 6, "validation": HELD, "metrics": "accuracy"} | how
    return jd.fit(model, LOSS, jd.optimizers.momentum(0.1), (X, Y), **options)
"""
SHARED = """
with jax.default_device(eight[5]):
    alone = train(MODEL)
assert {d.id for leaf in jax.tree.leaves(alone.params) for d in leaf.devices()} == {5}
shared = train(MODEL, device=eight)
for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
    np.testing.assert_allclose(shared.history[name], alone.history[name], rtol=1e-5)
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), shared.params, alone.params)
refused("multiple of the devices' number; got 16 and 3", lambda: train(MODEL, device=eight[:3]))
refused("different ones in a row", lambda: train(MODEL, device=[eight[0], eight[0]]))
batches = jd.data.stream(X, Y, batch_size=12, key=0)  # has a size of its own
refused("got 12 and 8", lambda: jd.fit(MODEL, LOSS, "adam", batches, key=0, epochs=1, device=np.array(eight)))
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


MESH = """
noisy = jd.models.mlp([4, 8, CLASSES], activation="tanh", dropout=0.2, batch_norm="before")
given = options(7, 6) | {"metrics": "accuracy"}
train = lambda **how: jd.fit_lanes(noisy, LOSS, jd.optimizers.adam, (X, Y), **given, **how)
alone = train(width=1)
_blocks._block_program = watched
grid = np.array(eight).reshape(4, 2)
for devices, width in ((grid, 4), (jax.sharding.Mesh(grid, ("lane", "data")), None), (grid.reshape(1, 8), 3)):
    runs = train(devices=devices, width=width)
    assert len({run.epoch for run in runs}) > 2
    for run, other in zip(runs, alone, strict=True):
        assert (run.epoch, run.result) == (other.epoch, other.result)
        for name in ("loss", "validation_loss", "accuracy"):
            np.testing.assert_allclose(run.history[name], other.history[name], rtol=1e-4)
        np.testing.assert_allclose(run.predict(X), other.predict(X), rtol=1e-3, atol=1e-4)
    print(runs.plan.width, runs.plan.why)
    np.testing.assert_allclose(runs[2].evaluate(HELD)["loss"], alone[2].evaluate(HELD)["loss"], rtol=1e-4)
refused("multiple of the 3 devices that share it; got 16", lambda: train(devices=grid.reshape(1, 8)[:, :3]))
print(compiled[0])
"""


SHARDED = """
import jax
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxdict as jd
from jaxdict import checkpoint
from small_run import MODEL, same_bits

def spread(tree, *shape):
    devices = np.array(jax.devices()[: int(np.prod(shape))]).reshape(shape)
    mesh = Mesh(devices, ("a", "b")[: len(shape)])

    def place(x):
        if not hasattr(x, "dtype"):
            return x
        even = x.ndim == 2 and x.shape[0] % 4 == x.shape[1] % 2 == 0
        spec = PartitionSpec(*mesh.axis_names) if even else PartitionSpec()
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, spec))

    return jax.tree.map(place, tree)

params, state, _ = MODEL.init(jax.random.key(0), (4,))
odd = {"half": jax.numpy.bfloat16(1.5), "key": jax.random.key(3), "epoch": 7, "rate": 0.1, "none": None}
tree = {"params": params, "optimizer": optax.adam(1e-3).init(params), "odd": odd}
put = lambda x, to: jax.device_put(x, to.sharding) if hasattr(x, "dtype") else x
lying = jax.tree.map(put, tree, spread(tree, 4, 2))
assert any(not leaf.is_fully_replicated for leaf in jax.tree.leaves(lying) if hasattr(leaf, "sharding"))
checkpoint.save_sharded("kept", lying)
for shape in ((2,), (1,), (2, 2), (4, 2)):
    like = spread(tree, *shape)
    found = checkpoint.load_sharded("kept", like)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    for one, other, to in zip(*map(jax.tree.leaves, (found, tree, like)), strict=True):
        if not hasattr(other, "dtype"):
            assert (one, type(one)) == (other, type(other))
            continue
        assert one.dtype == other.dtype and one.sharding == to.sharding
        data = jax.random.key_data if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key) else np.asarray
        np.testing.assert_array_equal(data(one), data(other))
whole = spread(tree, 2)
for change, message in (
    ({"odd": odd | {"half": jax.numpy.float32(1)}}, "'odd/half' has type bfloat16, float32 expected"),
    ({"odd": odd | {"half": jax.numpy.ones(2, "bfloat16")}}, "'odd/half' has shape (), (2,) expected"),
    ({"more": jax.numpy.ones(2)}, "'more' is missing"),
    ({"odd": 1}, "'odd' is missing"),
):
    try:
        checkpoint.load_sharded("kept", whole | change)
    except checkpoint.CheckpointError as error:
        assert message in str(error) and "kept" in str(error), error
    else:
        raise AssertionError(message)
for act, message in (
    (lambda: checkpoint.save_sharded("kept", lying), "is there already"),
    (lambda: checkpoint.load_sharded("nowhere", lying), "no such folder"),
    (lambda: checkpoint.save_sharded("other", {"a": ["x"]}), "got a str at 'a/0'"),
):
    try:
        act()
    except (checkpoint.CheckpointError, TypeError) as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)
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


def test_lanes_have_the_bits_of_one_device_and_pass_nothing_and_batches_that_are_shared_out_train_the_same_run(
    tmp_path,
):
    """One process for all: most of its time is compilation and start."""
    out = run(WATCHED + PLANS + LANES + BATCHES + SHARED, tmp_path)
    assert "8 devices, 2 lanes on each" in out
    assert "num_partitions=8" in out
    assert "while(" in out
    assert not re.findall(r"(?:all-reduce|all-gather|all-to-all|collective|reduce-scatter)\S*\(", out)


@pytest.mark.slow
def test_lanes_whose_batches_are_shared_out_pass_nothing_from_row_to_row(tmp_path):
    out = run(WATCHED + MESH, tmp_path)
    assert "4 4 × 2 devices, 1 lane on each row, which shares their batches out; width and devices as given" in out
    assert "8 4 × 2 devices, 2 lanes on each row, which shares their batches out; devices as given" in out
    groups = re.findall(r"(?:all-reduce|all-gather|all-to-all|reduce-scatter)\S*\(.*replica_groups=(.*?), \w+=", out)
    pairs = re.findall(r"collective-permute\S*\(.*source_target_pairs={(.*?)}, ", out)
    assert groups
    assert set(groups) <= {"[4,2]<=[8]", "{{0,1},{2,3},{4,5},{6,7}}"}  # two neighbours each
    for one in pairs:
        assert all(int(a) // 2 == int(b) // 2 for a, b in re.findall(r"{(\d),(\d)}", "{" + one + "}"))
    assert len(re.findall(r"(?:all-|collective-|reduce-scatter)\S*\(", out)) >= len(groups + pairs)


@pytest.mark.slow
def test_what_is_spread_over_devices_is_read_onto_others(tmp_path):
    pytest.importorskip("orbax.checkpoint")
    run(SHARDED, tmp_path)


@pytest.mark.slow
def test_so_do_those_of_models_with_noise_and_statistics_resumed_and_from_outside(tmp_path):
    run(WATCHED + BATCHES + MORE, tmp_path)


# --- the plan ---------------------------------------------------------------------------------------------------------


class GPU:
    """As much of one as a plan asks for."""

    platform, process_index = "gpu", 0

    def __init__(self, memory):
        self.memory = memory

    def memory_stats(self):
        return self.memory and {"bytes_limit": self.memory}


def test_a_plan_for_accelerators_asks_for_their_memory_and_fears_groups():
    four, need = [GPU(80 * 2**30) for _ in range(4)], lanes.Need(lane=100 * 2**20, shared=16 * 2**30)
    assert lanes.plan_lanes(4000, devices=four, need=need).width == 4 * 491  # 0.8*80 GiB less 16 GiB, by 100 MiB
    assert lanes.plan_lanes(4000, devices=[GPU(None)], need=need).width == 4000  # nothing says
    plan = lanes.plan_lanes(64, devices=four, need=lanes.Need(1, 1, (1, 32)))
    assert plan.width == 4
    assert "no wider, for grouped convolutions of several lanes at once are slow" in plan.why
    assert lanes.plan_lanes(64, devices=four, need=lanes.Need(1, 1, (1, 1))).width == 64
    four[0].process_index = 1
    with pytest.raises(ValueError, match="each process its part of the lanes"):
        lanes.plan_lanes(2, devices=four)


def test_a_width_that_was_asked_for_warns_of_convolutions():
    plan = lanes.plan_lanes(8, devices=jax.devices()[:1], width=4)
    with pytest.warns(RuntimeWarning, match="a width of 4 lanes makes grouped convolutions"):
        lanes._warn(plan, lanes.Need(groups=(1,)))
    lanes._warn(plan, lanes.Need())
    lanes._warn(plan._replace(width=1), lanes.Need(groups=(1,)))


def conv(x, kernel, groups=1):
    return jax.lax.conv_general_dilated(x, kernel, (1,), "SAME", feature_group_count=groups)


def test_convolutions_are_found_wherever_they_are():
    x, kernel, deep = jnp.ones((2, 4, 8)), jnp.ones((4, 4, 3)), jnp.ones((4, 1, 3))

    def nested(x):
        x = jax.lax.fori_loop(0, 3, lambda i, x: jax.lax.cond(i > 1, lambda x: conv(x, kernel), jnp.tanh, x), x)
        return jax.jit(jax.checkpoint(lambda x: conv(x, deep, 4)))(x)

    assert sorted(lanes.convolution_groups(jax.make_jaxpr(nested)(x))) == [1, 4]
    assert lanes.convolution_groups(jax.make_jaxpr(lambda x: x @ x.mT)(x)) == ()
    wide = jax.make_jaxpr(jax.vmap(conv, in_axes=(None, 0)))(x, jnp.ones((5, 4, 4, 3)))
    assert lanes.convolution_groups(wide) == (1,)  # a shared input: more kernels, no groups
    assert lanes.convolution_groups(jax.make_jaxpr(jax.vmap(conv))(jnp.ones((5, 2, 4, 8)), jnp.ones((5, 4, 4, 3)))) == (
        5,
    )


@pytest.mark.slow
def test_what_a_lane_needs_is_about_what_its_program_takes():
    model = jd.models.mlp([4, 256, 256, CLASSES])
    job = jd.fit(model, LOSS, "adam", (X, Y), key=0, epochs=1)._job
    need = lanes.need_of(job)
    taken = job.program.segment.lower(job.shapes(), job.data, job.keys, {}, np.int32(1)).compile().memory_analysis()
    really = taken.argument_size_in_bytes + taken.temp_size_in_bytes
    assert 0.5 * really < need.lane < 4 * really
    assert need.shared == X.nbytes + Y.nbytes
    assert need.groups == ()


def test_the_memory_of_this_machine():
    assert 2**26 < lanes.memory_of(jax.devices()[0]) < 2**50


# --- errors say which lane --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", [0, 2])
def test_a_number_that_cannot_be_names_its_lane(lane):
    def train(model, optimizer, **numbers):
        jd.fit_lanes(model, LOSS, optimizer, (X, Y), keys=range(3), epochs=1, validation=HELD, hyperparameters=numbers)

    rates = np.full(3, 0.1)
    for bad, message in ((np.nan, "'learning_rate' must be a number, not NaN"), (-1.0, "learning_rate must be >= 0")):
        rates[lane] = bad
        with pytest.raises(ValueError, match=f"lane {lane}: .*{message}"):
            train(MODEL, jd.optimizers.adam, learning_rate=rates)
    drops = np.full(3, 0.1)
    drops[lane] = 1.5
    with pytest.raises(ValueError, match=f"lane {lane}: .*rate"):
        train(lambda rate: jd.models.mlp([4, 8, CLASSES], dropout=rate), "adam", rate=drops)
    weights = np.ones((3, len(X)))
    weights[lane, 4] = -1
    with pytest.raises(ValueError, match=f"lane {lane}: .*weight"):
        jd.fit_lanes(MODEL, LOSS, "adam", (X, Y), keys=range(3), epochs=1, sample_weight=weights)
    with pytest.raises(ValueError, match=r"^nothing takes the hyperparameter"):  # of no lane alone
        train(MODEL, "adam", slope=drops)
