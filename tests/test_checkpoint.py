"""Checkpoints: bits kept, damage found, differences named, and a kill at any moment harmless."""

import dataclasses
import json
import os
import random
import struct
import subprocess
import sys
from typing import Any, NamedTuple

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxdict import checkpoint
from jaxdict.checkpoint import CheckpointError


class State(NamedTuple):
    count: Any
    moments: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Train:
    params: Any
    step: Any


def same(a, b):
    """Equal structure, and leaves equal in kind, type, shape and bits."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if type(x) in (bool, int, float, str):
            assert type(x) is type(y)
            assert repr(x) == repr(y)
            continue
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
    return True


def tree():
    return {
        "params": {"dense_1": {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.array([-1.5, np.nan, -0.0])}},
        "optimizer": (State(jnp.int32(7), [jnp.ones((2, 0)), None]), ()),
        "train": Train(jnp.array([True, False]), 12),
        "key": jax.random.key(3),
        "keys": jax.random.split(jax.random.key(4, impl="rbg"), 2),
        "name": "run ü",
        "rate": 0.1,
        "on": True,
        "worst": float("-inf"),
        "big": 2**80,
    }


def test_a_tree_comes_back_as_it_was(tmp_path):
    path = tmp_path / "new" / "a.safetensors"
    assert (
        checkpoint.save(path, tree(), metadata={"epoch": np.int64(3), "loss": jnp.float32(0.5), "tags": ["x"]}) == path
    )
    got, metadata = checkpoint.read(path, tree())
    same(got, tree())
    assert metadata == {"epoch": 3, "loss": 0.5, "tags": ["x"]}
    assert checkpoint.read_metadata(path) == metadata
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(got) if hasattr(leaf, "dtype"))
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    same(checkpoint.load(str(path), tree()), tree())


def test_a_tree_without_like_is_dicts(tmp_path):
    checkpoint.save(tmp_path / "a", tree())
    got = checkpoint.load(tmp_path / "a")
    np.testing.assert_array_equal(got["params"]["dense_1"]["kernel"], np.arange(6.0).reshape(2, 3))
    assert got["optimizer"]["0"]["count"] == 7
    assert got["optimizer"]["0"]["moments"]["0"].shape == (2, 0)
    assert got["train"]["step"] == 12
    assert got["worst"] == -np.inf
    np.testing.assert_array_equal(jax.random.normal(got["key"]), jax.random.normal(jax.random.key(3)))
    for leaf in (jnp.arange(3), "text", 5):
        checkpoint.save(tmp_path / "b", leaf)
        same(checkpoint.load(tmp_path / "b"), leaf)
    for empty in ({}, None, (None, ())):
        checkpoint.save(tmp_path / "c", empty)
        assert checkpoint.load(tmp_path / "c") == {}
        assert checkpoint.load(tmp_path / "c", empty) in (empty, {})


TYPES = [
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "bfloat16",
    "float32", "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "int4", "uint4",
]  # fmt: skip


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 2)])
def test_every_type_keeps_its_bits(tmp_path, dtype, shape):
    bits = np.random.default_rng(len(shape)).integers(0, 2 if dtype == "bool" else 256, (*shape, 16), np.uint8)
    kind = jnp.dtype(dtype)
    array = bits[..., : kind.itemsize].copy().view(kind)[..., 0]
    if dtype in ("int4", "uint4"):
        array = bits[..., 0].astype(kind)
    checkpoint.save(tmp_path / "a", {"x": array, "t": array.T})
    got = checkpoint.load(tmp_path / "a")
    same(got, {"x": array, "t": array.T})
    narrows = dtype in ("uint64", "int64", "float64", "complex128")
    assert isinstance(got["x"], np.ndarray if narrows else jax.Array)  # what jax would narrow stays NumPy
    same(checkpoint.load(tmp_path / "a", {"x": array, "t": array.T}), got)
    if narrows and shape:
        with jax.enable_x64(True):
            wide = checkpoint.load(tmp_path / "a")
            assert isinstance(wide["x"], jax.Array)
            same(wide, got)


def test_numpy_in_like_stays_numpy(tmp_path):
    checkpoint.save(
        tmp_path / "a", {"x": np.arange(3.0, dtype=np.float32), "y": np.asfortranarray(np.ones((2, 3), ">f4"))}
    )
    got = checkpoint.load(
        tmp_path / "a", {"x": np.zeros(3, np.float32), "y": jax.ShapeDtypeStruct((2, 3), jnp.float32)}
    )
    assert isinstance(got["x"], np.ndarray)
    assert isinstance(got["y"], jax.Array)
    got["x"][0] = 5  # its own memory
    np.testing.assert_array_equal(got["y"], np.ones((2, 3)))


def test_like_made_of_shapes(tmp_path):
    value = {"x": jnp.ones((2, 3), jnp.bfloat16), "key": jax.random.split(jax.random.key(0), 3)}
    checkpoint.save(tmp_path / "a", value)
    shapes = jax.eval_shape(lambda: value)
    same(checkpoint.load(tmp_path / "a", shapes), value)
    with pytest.raises(CheckpointError, match=r"'key' is key threefry2x32 \(3,\), key rbg \(3,\) expected"):
        checkpoint.load(tmp_path / "a", {**value, "key": jax.random.split(jax.random.key(0, impl="rbg"), 3)})


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.builds(
        lambda dtype, shape, seed: np.random.default_rng(seed).integers(0, 2, shape).astype(jnp.dtype(dtype)),
        st.sampled_from(["bool", "int8", "uint64", "bfloat16", "float16", "float32", "float64"]),
        st.lists(st.integers(0, 3), max_size=3),
        st.integers(0, 9),
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text('ab_.é"\\', min_size=1, max_size=3), inner, max_size=3),
        st.builds(State, inner, inner),
    ),
    max_leaves=8,
)


@pytest.mark.slow
@hypothesis.settings(derandomize=True, max_examples=40, deadline=None, database=None)
@hypothesis.given(value=TREES)
def test_random_trees_round_trip(tmp_path_factory, value):
    path, value = tmp_path_factory.getbasetemp() / "random.safetensors", [value]
    checkpoint.save(path, value, metadata={"é": "\"'\n"})
    got, metadata = checkpoint.read(path, value)
    same(got, value)
    assert metadata == {"é": "\"'\n"}


def test_objects_say_what_is_saved(tmp_path):
    class Run:
        def __checkpoint__(self):
            return {"w": jnp.ones(2)}, {"model": "mlp", "epoch": 1}

    checkpoint.save(tmp_path / "a", Run(), metadata={"epoch": 2})
    got, metadata = checkpoint.read(tmp_path / "a")
    same(got, {"w": jnp.ones(2)})
    assert metadata == {"model": "mlp", "epoch": 2}


def test_the_file_is_plain_safetensors(tmp_path):
    checkpoint.save(tmp_path / "a", {"w": {"k": jnp.arange(3.0)}, "n": 1})
    plain = safetensors.numpy.load_file(tmp_path / "a")
    assert list(plain) == ["w/k"]
    np.testing.assert_array_equal(plain["w/k"], [0, 1, 2])


def test_files_of_other_programs(tmp_path):
    path = tmp_path / "torch.safetensors"
    arrays = {"layer.weight": np.ones((2, 3), np.float32), "layer.bias": np.zeros(2, np.float64)}
    safetensors.numpy.save_file(arrays, path, metadata={"format": "pt"})
    got = checkpoint.load(path)
    same(got, {name: got[name] for name in arrays})
    np.testing.assert_array_equal(got["layer.weight"], arrays["layer.weight"])
    same(checkpoint.load(path, arrays), arrays)
    path.write_bytes(raw({"c": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}}, b"\x3c\xc0"))
    same(checkpoint.load(path), {"c": jnp.array([1, -2], jnp.float8_e5m2)})
    for reader in (checkpoint.read, checkpoint.read_metadata):
        with pytest.raises(
            CheckpointError, match=r"torch\.safetensors: not a jaxdict checkpoint.*load reads its tensors"
        ):
            reader(path)


# --- refused when saving ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "metadata", "error", "message"),
    [
        ({"f": print}, None, TypeError, "a checkpoint holds arrays of numbers.*got builtin_function_or_method at 'f'"),
        ({"f": {"g": np.array(["a"])}}, None, TypeError, "got ndarray of <U1 at 'f/g'"),
        ({"f": b"x"}, None, TypeError, "got bytes at 'f'"),
        ({"f": 1j}, None, TypeError, "got complex at 'f'"),
        ({"a/b": 1, "a": {"b": 2}}, None, CheckpointError, "'a/b' is the name of two leaves; rename"),
        ({"__metadata__": 1}, None, CheckpointError, "'__metadata__' is reserved"),
        (
            {},
            {"x": np.ones(2)},
            TypeError,
            "metadata must be what JSON can say; got ndarray .*arrays belong in the tree",
        ),
        ({}, {"x": {1, 2}}, TypeError, "metadata must be what JSON can say; got set"),
    ],
)
def test_save_errors(tmp_path, value, metadata, error, message):
    with pytest.raises(error, match=message):
        checkpoint.save(tmp_path / "a", value, metadata=metadata)
    assert not any(tmp_path.iterdir())


def test_save_too_much_json(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "_MAX_TEXT", 200)
    with pytest.raises(CheckpointError, match="characters of JSON, at most 200; save long lists as arrays"):
        checkpoint.save(tmp_path / "a", {}, metadata={"x": list(range(99))})


def test_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = checkpoint.save(tmp_path / "a", {"x": 1})

    def fail(*args, **options):
        raise safetensors.SafetensorError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(safetensors.numpy, "save", fail)
        with pytest.raises(CheckpointError, match=r"a: could not be written: disk full"):
            checkpoint.save(path, {"x": 2})
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(path, {"x": 3})
    assert checkpoint.load(path) == {"x": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_missing_safetensors_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"checkpoints need safetensors; pip install 'jaxdict\[train\]'"):
        checkpoint.save(tmp_path / "a", {})


# --- differences to like ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            {"w": jnp.ones((2, 3)), "b": jnp.ones(3), "n": 1},
            r"a: there is 'k', key threefry2x32 \(\), which is not",
        ),
        ({"w": jnp.ones((2, 3)), "bb": jnp.ones(3)}, r"a: 'bb' is missing, tensor float32 \(3,\) expected"),
        ({"w": 0, "k": 0, "bias_": {"w": 1}}, r"a: 'bias_/w' is missing, a Python int expected"),
        ({"b": jnp.ones((3, 1)), "w": jnp.ones(1)}, r"a: 'b' has shape \(3,\), \(3, 1\) expected"),
        ({"b": jnp.ones(3, jnp.bfloat16)}, "a: 'b' has type float32, bfloat16 expected"),
        ({"b": 1.0}, r"a: 'b' is tensor float32 \(3,\), a Python float expected"),
        ({"b": jnp.ones(3), "k": jnp.ones(2)}, r"a: 'k' is key threefry2x32 \(\), tensor float32 \(2,\)"),
        (
            {"b": jnp.ones(3), "k": jax.random.key(0), "n": True},
            "'n' is a Python int, a Python bool expected",
        ),
    ],
)
def test_the_first_difference_is_named(tmp_path, like, message):
    value = {"b": jnp.ones(3), "k": jax.random.key(0), "n": 1, "w": jnp.ones((2, 3))}
    checkpoint.save(tmp_path / "a", value)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path / "a", like)


def test_a_renamed_leaf_is_suggested(tmp_path):
    checkpoint.save(tmp_path / "a", {"params": {"dense_1": {"kernel": jnp.ones(2)}}})
    message = r"'params/dense1/kernels' is missing, .*; there is 'params/dense_1/kernel', tensor float32 \(2,\)"
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(tmp_path / "a", {"params": {"dense1": {"kernels": jnp.ones(2)}}})


def test_names_that_collide_need_like(tmp_path):
    for value in ({"a": jnp.ones(2), "a/b": jnp.ones(3)}, {"a/b": 1, "a": jnp.ones(3)}, {"a/b/c": 1, "a": jnp.ones(3)}):
        checkpoint.save(tmp_path / "a", value)
        same(checkpoint.load(tmp_path / "a", value), value)
        with pytest.raises(CheckpointError, match="collides with another name; load it with like"):
            checkpoint.load(tmp_path / "a")


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a"
    value = {"w": jnp.arange(8.0), "h": jnp.ones(3, jnp.bfloat16), "k": jax.random.key(1), "n": 5}
    return checkpoint.save(path, value, metadata={"epoch": 12}).read_bytes()


def raw(header, data=b""):
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(text)) + text + data


def ours(header, digest="0"):
    return raw(
        {"__metadata__": {"jaxdict": header if isinstance(header, str) else json.dumps(header), "digest": digest}}
    )


FULL = {"format": 1, "version": "0.1.0", "values": {}, "keys": {}, "types": {}, "metadata": {}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "a: no such file"),
        (b"", "a: the file is empty"),
        (b"abc", "a: truncated or not a safetensors file; 3 bytes"),
        (b"not a checkpoint at all, but some text", "a: truncated or not a safetensors file; 38 bytes"),
        (raw("{nonsense"), "a: not a safetensors file, its header is not what it should be"),
        (raw("[1]"), "a: not a safetensors file, its header"),
        (raw('{"__metadata__": 3}'), "a: not a safetensors file, its header"),
        (raw({"x": {"dtype": "F32"}}), "a: not a safetensors file, its header"),
        (raw({"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}, b"1234"), "not a valid safetensors file: "),
        (
            raw({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}}, b"12345678"),
            "not a valid safetensors file",
        ),
        (
            raw({"x": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}, b"1"),
            "'x' has the type F8_E8M0|valid",
        ),
        (ours("{nonsense"), "a: damaged, its metadata is not what it should be"),
        (ours("[]"), "a: damaged, its metadata is not what it should be"),
        (ours({"format": 1}), "a: damaged, its metadata is not what it should be"),
        (ours({**FULL, "values": 3}), "a: damaged, its metadata is not what it should be"),
        (ours(FULL), "a: damaged, its digest is not that of its content"),
        (ours({"format": 2, "version": "9.1"}), "a: format 2, by jaxdict 9.1; this one reads up to 1: update it"),
    ],
)
def test_damaged_files(tmp_path, content, message):
    path = tmp_path / "a"
    if content is not None:
        path.write_bytes(content)
    for reader in (checkpoint.load, checkpoint.read):
        with pytest.raises(CheckpointError, match=message):
            reader(path)
    if "valid" not in message and "type F8" not in message and "digest" not in message:
        with pytest.raises(CheckpointError, match=message):
            checkpoint.read_metadata(path)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        checkpoint.load(tmp_path)


def test_truncation_anywhere_is_found(tmp_path, whole):
    for size in range(len(whole)):
        (tmp_path / "a").write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"a: (the file is empty|truncated)"):
            checkpoint.load(tmp_path / "a")
    (tmp_path / "a").write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match=f"truncated; {len(whole)} bytes expected, {len(whole) - 3} found"):
        checkpoint.read_metadata(tmp_path / "a")
    (tmp_path / "a").write_bytes(whole + b"more")
    with pytest.raises(CheckpointError, match="not a valid safetensors file"):
        checkpoint.load(tmp_path / "a")


def test_a_flipped_bit_anywhere_is_found(tmp_path, whole):
    (tmp_path / "a").write_bytes(whole)
    assert checkpoint.read(tmp_path / "a")[1] == {"epoch": 12}
    chance = random.Random(0)
    missed = []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        (tmp_path / "a").write_bytes(damaged)
        try:
            missed.append((place, checkpoint.read(tmp_path / "a")))
        except CheckpointError:
            continue
    assert not missed


# --- kills ------------------------------------------------------------------------------------------------------------

KILLED = """
import os, random, signal, sys, time
import numpy as np
from jaxdict import checkpoint

def process(function):
    child = os.fork()
    if not child:
        function()
        os._exit(0)
    return child

def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)

def tree(number):
    return {"number": np.full((), number), "x": np.full(500_000, number, np.float64)}

folder = sys.argv[1]
path = os.path.join(folder, "a.safetensors")
checkpoint.save(path, tree(0))

# the exact places: before the first byte, half way, before the disk has it, before and after the renaming
import safetensors.numpy
replace = os.replace

def half(descriptor):
    os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
    die()

def replace_and_die(*paths):
    replace(*paths)
    die()

for target, name, function in (
    (safetensors.numpy, "save", die), (os, "fsync", half), (os, "fsync", die),
    (os, "replace", die), (os, "replace", replace_and_die),
):
    def run():
        setattr(target, name, function)
        checkpoint.save(path, tree(1))
    os.waitpid(process(run), 0)
    print(int(checkpoint.load(path, tree(9))["number"]), flush=True)

# random moments of a process that saves without end
def forever():
    number = 1
    while True:
        checkpoint.save(path, tree(number := number + 1))

chance = random.Random(5)
for _ in range(3):
    child = process(forever)
    before = os.stat(path).st_ino
    while os.stat(path).st_ino == before:
        pass
    moment = time.perf_counter() + 0.03 * chance.random()
    while time.perf_counter() < moment:
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    got = checkpoint.load(path, tree(9))
    print((got["x"] == got["number"]).all(), flush=True)

# a numbered save that dies before it removes older files
for number in (1, 2):
    checkpoint.save_numbered(folder, number, tree(number), keep=2)
def run():
    os.replace = replace_and_die
    checkpoint.save_numbered(folder, 3, tree(3), keep=2)
os.waitpid(process(run), 0)
print(sorted(os.path.basename(p) for p in os.listdir(folder) if p.startswith("check")), flush=True)
checkpoint.save(path, tree(4))
print(sorted(p for p in os.listdir(folder) if not p.startswith("check")))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX processes")
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    numbered = [f"checkpoint-{n:08d}.safetensors" for n in (1, 2, 3)]
    expected = ["0", "0", "0", "0", "1", "True", "True", "True", str(numbered), "['a.safetensors']"]
    assert done.stdout.splitlines() == expected, done.stderr


# --- folders ----------------------------------------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_numbered_files_keep_the_newest(tmp_path):
    assert checkpoint.latest(tmp_path / "none") is None
    assert checkpoint.latest(tmp_path) is None
    for number in (1, 5, 10, 200_000_000, 1_000_000_000):
        path = checkpoint.save_numbered(tmp_path, number, {"n": number}, metadata={"n": number})
        assert checkpoint.latest(tmp_path) == path
    assert path.name == "checkpoint-1000000000.safetensors"
    assert names(tmp_path) == [
        "checkpoint-00000010.safetensors", "checkpoint-1000000000.safetensors", "checkpoint-200000000.safetensors",
    ]  # fmt: skip
    checkpoint.save_numbered(tmp_path, 11, {"n": 11}, keep=1)  # higher numbers are left alone
    assert "checkpoint-00000010.safetensors" not in names(tmp_path)
    assert len(names(tmp_path)) == 3
    checkpoint.save_numbered(tmp_path, 12, {}, keep=None)
    assert len(names(tmp_path)) == 4


def test_older_files_go_only_when_the_new_one_is_safe(tmp_path, monkeypatch):
    checkpoint.save_numbered(tmp_path, 1, {"n": 1})
    with pytest.raises(TypeError, match="at 'n'"):
        checkpoint.save_numbered(tmp_path, 2, {"n": print}, keep=1)
    assert names(tmp_path) == ["checkpoint-00000001.safetensors"]
    with pytest.raises(ValueError, match="number must be >= 0; got -1"):
        checkpoint.save_numbered(tmp_path, -1, {})
    with pytest.raises(ValueError, match="keep must be >= 1; got 0"):
        checkpoint.save_numbered(tmp_path, 2, {}, keep=0)
    with pytest.raises(TypeError, match=r"number must be a whole number; got 2\.5"):
        checkpoint.save_numbered(tmp_path, 2.5, {})  # type: ignore[arg-type]  # what is tested


def test_latest_passes_over_damage(tmp_path):
    for number in (1, 2, 3, 4):
        checkpoint.save_numbered(tmp_path, number, {"x": np.arange(5.0) + number}, keep=None)
    file = {n: tmp_path / f"checkpoint-{n:08d}.safetensors" for n in (1, 2, 3, 4)}
    file[4].write_bytes(file[4].read_bytes()[:-1])
    damaged = bytearray(file[3].read_bytes())
    damaged[-1] ^= 1
    file[3].write_bytes(damaged)
    safetensors.numpy.save_file({"x": np.ones(2)}, file[2])
    with pytest.warns(RuntimeWarning) as caught:
        assert checkpoint.latest(tmp_path) == file[1]
    reasons = [str(warning.message) for warning in caught]
    for reason, number, words in zip(reasons, (4, 3, 2), ("truncated", "digest", "not a jaxdict"), strict=True):
        assert reason.startswith(f"passed over a damaged checkpoint: {file[number]}: ")
        assert words in reason
    file[1].write_bytes(b"")
    with pytest.warns(RuntimeWarning) as caught:
        assert checkpoint.latest(tmp_path) is None
    assert "the file is empty" in str(caught[-1].message)


def test_leftovers_of_the_dead_are_removed(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = ".checkpoint-00000001.safetensors.{}-00aa.tmp"
    for pid in (gone.pid, os.getpid(), os.getppid(), 1):  # dead, ours but not being written, and two alive
        (tmp_path / name.format(pid)).write_bytes(b"x")
    (tmp_path / ".checkpoint-00000001.safetensors.mine.tmp").write_bytes(b"x")
    (tmp_path / "other.tmp").write_bytes(b"x")
    os.utime(tmp_path / name.format(1), (0, 0))  # too old to be in use, whoever has that number now
    checkpoint.save_numbered(tmp_path, 2, {})
    assert names(tmp_path) == sorted(
        [
            ".checkpoint-00000001.safetensors.mine.tmp",
            name.format(os.getppid()),
            "checkpoint-00000002.safetensors",
            "other.tmp",
        ]
    )


def test_what_is_being_written_is_not_removed(tmp_path, monkeypatch):
    replace = os.replace

    def meanwhile(*paths):
        monkeypatch.setattr(os, "replace", replace)
        checkpoint.save_numbered(tmp_path, 2, {"n": 2})
        replace(*paths)

    monkeypatch.setattr(os, "replace", meanwhile)
    checkpoint.save_numbered(tmp_path, 1, {"n": 1})
    assert names(tmp_path) == ["checkpoint-00000001.safetensors", "checkpoint-00000002.safetensors"]
