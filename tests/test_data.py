"""Readers against scikit-learn's own and hand-made files; the check, the split, the scaler and the fingerprint."""

import gzip
import hashlib
import importlib.util
import struct
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxdict import data
from jaxdict.data import checks

# --- bundled sets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["digits", "wine", "iris", "breast_cancer", "diabetes"])
def test_bundled_sets_are_those_of_scikit_learn(name):
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    oracle = getattr(datasets, f"load_{name}")(**options)
    ours = data.load(name)
    scale = 16 if name == "digits" else 1
    np.testing.assert_array_equal(ours.inputs, (oracle.data / scale).astype(np.float32))
    np.testing.assert_array_equal(ours.targets, oracle.target)
    assert ours.inputs.dtype == np.float32
    assert ours.targets.dtype == (np.float32 if name == "diabetes" else np.int32)
    assert ours.feature_names == tuple(oracle.feature_names)
    assert ours.classes == (() if name == "diabetes" else tuple(map(str, oracle.target_names)))
    assert ours.task == {"diabetes": "regression", "breast_cancer": "binary"}.get(name, "multiclass")
    assert ours.name == name
    assert len(ours) == len(oracle.data)


def test_bundled_names_fold_and_repr_is_short():
    assert repr(data.load("Breast Cancer")) == (
        "Dataset('breast_cancer', inputs (569, 30), targets (569,), binary, 2 classes)"
    )
    assert data.load("iris", name="flowers").name == "flowers"


def test_bundled_sets_import_no_scikit_learn():
    code = "import sys; from jaxdict import data; data.load('digits'); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"'iris' comes with scikit-learn.*pip install 'jaxdict\[train\]'"):
        data.load("iris")


def test_unknown_sources(tmp_path):
    with pytest.raises(ValueError, match=r"no data set is called 'digit'.*did you mean 'digits'"):
        data.load("digit")
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such file or folder"):
        data.load(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("1")
    with pytest.raises(ValueError, match=r"a\.txt: data is a folder of IDX files, an \.npz or a \.csv; got \.txt"):
        data.load(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"target is for \.csv and \.npz files; got target='y' with 'iris'"):
        data.load("iris", target="y")
    with pytest.raises(ValueError, match=r"task is for \.csv and \.npz files; got task='binary' with 'iris'"):
        data.load("iris", task="binary")


# --- IDX --------------------------------------------------------------------------------------------------------------

IMAGES = np.arange(5 * 3 * 2, dtype=np.uint8).reshape(5, 3, 2) * 8
LABELS = np.array([7, 0, 7, 3, 0], np.uint8)


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(folder, *, pack=lambda content: content, end=""):
    for part, size in (("train", 5), ("t10k", 2)):
        (folder / f"{part}-images-idx3-ubyte{end}").write_bytes(pack(idx(IMAGES[:size])))
        (folder / f"{part}-labels-idx1-ubyte{end}").write_bytes(pack(idx(LABELS[:size])))
    return folder


@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (gzip.compress, ".gz")])
def test_idx_folder(tmp_path, pack, end):
    got = data.load(mnist(tmp_path, pack=pack, end=end), name="m")
    np.testing.assert_array_equal(got.inputs, IMAGES.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(got.targets, [2, 0, 2, 1, 0])
    assert got.classes == ("0", "3", "7")
    assert got.task == "multiclass"
    assert got.inputs.dtype == np.float32
    assert got.test is not None
    np.testing.assert_array_equal(got.test.targets, [2, 0])  # numbered as in the training part
    assert got.test.classes == got.classes
    assert "test 2" in repr(got)
    flat, test = data.load_idx(tmp_path, flatten=True)
    np.testing.assert_array_equal(flat.inputs, got.inputs.reshape(5, 6))
    assert test is not None
    assert test.inputs.shape == (2, 6)
    assert flat.name == tmp_path.name


def test_idx_without_test_part_and_with_dots(tmp_path):
    (tmp_path / "train-images.idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(LABELS))
    assert data.load_idx(tmp_path)[1] is None
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(idx(LABELS))
    with pytest.raises(FileNotFoundError, match=r"t10k-images-idx3-ubyte \(or with .gz\) is missing"):
        data.load(tmp_path)


@pytest.mark.parametrize(("code", "dtype"), [(0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
def test_idx_types(tmp_path, code, dtype):
    array = np.array([[-3, 0, 5], [1, 2, -7]], dtype)
    (tmp_path / "a").write_bytes(idx(array, code))
    got = data.read_idx(tmp_path / "a")
    np.testing.assert_array_equal(got, array)
    assert got.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(LABELS)[:-2], r"labels: truncated, 13 bytes expected for shape \(5,\), 11 found; download it again"),
        (idx(LABELS) + b"x", "labels: too long, 13 bytes expected"),
        (idx(LABELS)[:6], "labels: truncated in its header, 8 bytes expected, 6 found"),
        (b"\0\0\x77\x01" + idx(LABELS)[4:], r"labels: not an IDX file \(magic number 0x00007701\)"),
        (b"", "labels: not an IDX file"),
        (idx(IMAGES), r"labels: expected an IDX file of 1 axes, found 3 \(magic 0x00000803\).*swapped"),
        (gzip.compress(idx(LABELS), mtime=0)[:-9], "labels: damaged gzip.*download it again"),
        (gzip.compress(idx(LABELS), mtime=0)[:12] + b"\xff" * 20, "labels: damaged gzip.*download it again"),
    ],
)
def test_idx_damage(tmp_path, content, message):
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        data.read_idx(tmp_path / "labels", dims=1)


def test_idx_folder_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train-images-idx3-ubyte .* is missing; an MNIST-like folder holds"):
        data.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing: no such file"):
        data.read_idx(tmp_path / "nothing")
    (tmp_path / "plain.gz").write_bytes(idx(LABELS))
    with pytest.raises(ValueError, match=r"plain\.gz: not a gzip file"):
        data.read_idx(tmp_path / "plain.gz")
    mnist(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(LABELS[:4]))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte holds 5 images and train-labels-idx1-ubyte 4 labels"):
        data.load(tmp_path)


# --- npz --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("inputs", "targets"), ("x", "y"), ("data", "target")])
def test_npz_keys(tmp_path, keys):
    x = np.array([[1.5, -2.0], [0.25, 7.0], [3.0, 4.0]])
    arrays: dict[str, Any] = {keys[0]: x, keys[1]: np.array([4, 2, 4])}
    np.savez(tmp_path / "a.npz", **arrays)
    got = data.load(tmp_path / "a.npz")
    np.testing.assert_array_equal(got.inputs, x)
    np.testing.assert_array_equal(got.targets, [1, 0, 1])
    assert (got.task, got.classes, got.name, got.test) == ("binary", ("2", "4"), "a", None)


def test_npz_like_keras(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=IMAGES, y_train=LABELS[:, None], x_test=IMAGES[:2], y_test=LABELS[1:3])
    got = data.load(tmp_path / "mnist.npz", flatten=True)
    np.testing.assert_array_equal(got.inputs, IMAGES.reshape(5, 6).astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(got.targets, [2, 0, 2, 1, 0])
    assert got.test is not None
    np.testing.assert_array_equal(got.test.targets, [0, 2])


def test_npz_targets(tmp_path):
    x = np.ones((3, 2))
    path = tmp_path / "a.npz"
    np.savez(path, x=x, y=np.array([[0.5, 1], [2, 3], [4, 5]]), words=np.array(["b", "a", "b"]))
    got = data.load(path)
    assert (got.task, got.targets.shape, got.targets.dtype) == ("regression", (3, 2), np.float32)
    got = data.load(path, target="words")
    assert got.classes == ("a", "b")
    np.testing.assert_array_equal(got.targets, [1, 0, 1])
    np.savez(path, pixels=x, kind=np.array([b"v", b"u", b"w"]))
    assert data.load(path, target="kind").classes == ("u", "v", "w")
    np.savez(path, x=x, y=np.array([3, 1, 2]))
    got = data.load(path, task="regression")
    np.testing.assert_array_equal(got.targets, np.array([3, 1, 2], np.float32))
    np.savez(path, x=x, y=np.array([2.0, 1.0, 2.0]))
    assert data.load(path, task="multiclass").classes == ("1", "2")


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": np.ones(2)}, {}, "holds a; expected one of: x_train, y_train; inputs, targets"),
        ({"x": np.ones(2), "y": np.ones(2)}, {"target": "yy"}, "no targets 'yy'; (did you mean|known: x, y)"),
        ({"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}, {"target": "c"}, "which of a, b are the inputs"),
        ({"x": np.array(["a", "b"]), "y": np.ones(2)}, {}, "'x' must be numbers; got <U1"),
        ({"x": np.float32(1), "y": np.ones(2)}, {}, r"'x', 'y' need an axis of examples; got \(\), \(2,\)"),
        ({"x": np.ones(3), "y": np.arange(2)}, {}, "3 inputs and 2 targets; they must be equally many"),
        ({"x": np.ones((3, 1)), "y": np.ones(2)}, {}, "a inputs has 3 examples and a targets 2"),
        ({"x": np.ones(2), "y": np.ones((2, 3), int)}, {}, r"labels must have shape \(n,\); got \(2, 3\)"),
        ({"x": np.ones(2), "y": np.array([1, np.nan])}, {"task": "binary"}, "targets hold NaN or inf"),
        ({"x": np.ones(3), "y": np.arange(3)}, {"task": "binary"}, "a binary task has two classes; got 3: 0, 1, 2"),
        ({"x": np.ones(2), "y": np.array(["a", "b"])}, {"task": "regression"}, "must be numbers; got <U1"),
        ({"x": np.ones(2), "y": np.ones(2)}, {"task": "regresion"}, "task must be one of.*did you mean 'regression'"),
        ({"x": np.array([1, np.inf]), "y": np.ones(2)}, {}, "a inputs: inf in row 1"),
        ({"x": np.array([object()]), "y": np.ones(1)}, {}, "not a readable .npz without pickled objects"),
    ],
)
def test_npz_errors(tmp_path, arrays, options, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path / "a.npz", **options)


def test_npz_damage(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz: no such file"):
        data.load_npz(tmp_path / "none.npz")
    np.savez(tmp_path / "a.npz", x=np.ones(2), y=np.ones(2))
    whole = (tmp_path / "a.npz").read_bytes()
    for content in (b"", b"garbage", whole[:-30], whole[:60]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npz: not a readable \.npz"):
            data.load(tmp_path / "a.npz")


# --- csv --------------------------------------------------------------------------------------------------------------


def write(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_string_labels(tmp_path):
    path = write(tmp_path, '\ufeffage, kind ,"height, m"\n3,dog,0.5\n\n4.5,cat,1e-1\n-7,dog,2\n')
    got = data.load(path, target="kind")
    np.testing.assert_array_equal(got.inputs, np.array([[3, 0.5], [4.5, 0.1], [-7, 2]], np.float32))
    np.testing.assert_array_equal(got.targets, [1, 0, 1])
    assert (got.classes, got.task, got.name) == (("cat", "dog"), "binary", "a")
    assert got.feature_names == ("age", "height, m")
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    np.testing.assert_array_equal(data.load(packed, target="kind").inputs, got.inputs)


@pytest.mark.parametrize(
    ("labels", "task", "expected", "classes"),
    [
        ([1, 2, 3, 1, 2, 3], None, "multiclass", ("1", "2", "3")),
        ([0, 1, 2, 0, 1, 2], None, "multiclass", ("0", "1", "2")),
        ([-1, 1, -1, 1], None, "binary", ("-1", "1")),
        ([10, 2, 10, 2], None, "binary", ("2", "10")),  # sorted as numbers
        ([1, 2, 4, 1, 2, 4], None, "regression", ()),  # a gap
        ([1, 2, 3], None, "regression", ()),  # each once
        ([0.5, 1.5, 0.5, 1.5], None, "regression", ()),
        ([0.5, 1.5, 0.5, 1.5], "binary", "binary", ("0.5", "1.5")),
        ([1, 2, 4, 1, 2, 4], "multiclass", "multiclass", ("1", "2", "4")),
        ([0, 1, 0, 1], "regression", "regression", ()),
    ],
)
def test_csv_task(tmp_path, labels, task, expected, classes):
    path = write(tmp_path, "x,y\n" + "".join(f"1,{y}\n" for y in labels))
    got = data.load(path, target="y", task=task)
    assert (got.task, got.classes) == (expected, classes)
    values = np.array(labels)
    np.testing.assert_array_equal(
        np.array([float(c) for c in classes])[got.targets] if classes else got.targets, values
    )


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "empty; the first line must be a header"),
        ("x,y\n", {}, "a header without rows"),
        ("x,x,y\n1,2,3\n", {}, "the header names 'x' twice"),
        ("x,y\n1,2\n", {"target": None}, "name the target column; columns: x, y"),
        ("x,label\n1,2\n", {"target": "labl"}, "no column 'labl'; did you mean 'label'. columns: x, label"),
        ("x,label\n1,2\n", {}, "no column 'y'; columns: x, label"),
        ("y\n1\n", {}, "no column besides the target 'y'"),
        ("a,b,y\n1,2,3\n\n1,2\n", {}, "line 4 has 2 cells, the header 3"),
        ("a,b,y\n1,2,3\n1,two,3\n", {}, "line 3, column 'b': 'two' is not a number"),
        ("a,y,b\n1,2,3\n1,3,1_000\n", {}, "line 3, column 'b': '1_000' is not a number"),
        ("a,b,y\n1,,3\n", {}, "line 2, column 'b': '' is not a number"),
        ("a,b,y\n1,nan,3\n", {}, "line 2, column 'b': 'nan' is not a finite float32; fill or drop"),
        ("a,b,y\n1,1e39,3\n", {}, "line 2, column 'b': '1e39' is not a finite float32"),
        ("a,y\n1,3\n2,\n", {}, "line 3, column 'y': empty target"),
        ("a,y\n1,3\n2,inf\n", {}, "line 3, column 'y': 'inf' is not a finite"),
        ("a,y\n1,u\n2,v\n", {"task": "regression"}, "line 2, column 'y': 'u' is not a number"),
        ("a,y\n1,u\n2,v\n", {"task": "class"}, "task must be one of"),
        ("a,y\n1,u\n2,v\n3,w\n", {"task": "binary"}, "a binary task has two classes; got 3"),
    ],
)
def test_csv_errors(tmp_path, text, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(write(tmp_path, text), **{"target": "y", **options})


def test_csv_unreadable(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.csv: no such file"):
        data.load_csv(tmp_path / "no.csv", target="y")
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n1,\xff\n")
    with pytest.raises(ValueError, match=r"a\.csv: not UTF-8 text \(invalid start byte at byte 6\)"):
        data.load_csv(path, target="y")
    path.write_text("x,y\n1," + "9" * 200_000)
    with pytest.raises(ValueError, match=r"a\.csv: line 2: field larger"):
        data.load_csv(path, target="y")


# --- split ------------------------------------------------------------------------------------------------------------


def test_split_is_a_partition_with_exact_proportions():
    whole = data.load("digits")
    rest, held = data.split(whole, 0.2, key=3)
    assert (len(rest), len(held)) == (1438, 359)
    rows = np.concatenate([rest.inputs, held.inputs])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, whole.inputs))
    exact = 0.2 * np.bincount(whole.targets)
    assert np.all(np.abs(np.bincount(held.targets) - exact) < 1)


def test_split_follows_its_key():
    labels = np.arange(40) % 3
    first = data.split_indices(40, 0.25, key=7, labels=labels)
    for same in (jax.random.key(7), jax.random.PRNGKey(7)):
        again = data.split_indices(40, 0.25, key=same, labels=labels)
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1], again[1])
    other = data.split_indices(40, 0.25, key=8, labels=labels)
    assert not np.array_equal(first[1], other[1])
    assert all(np.all(np.diff(part) > 0) for part in first)


def test_split_every_class_on_both_sides():
    labels = np.repeat([5, 6, 7, 8], [97, 2, 1, 3])  # a class of one stays in the rest
    for key in range(5):
        rest, held = data.split_indices(103, 0.05, key=key, labels=labels)
        assert np.array_equal(np.sort(np.concatenate([rest, held])), np.arange(103))
        assert dict(zip(*np.unique(labels[held], return_counts=True), strict=True)) == {5: 3, 6: 1, 8: 1}
        rest, held = data.split_indices(103, 0.95, key=key, labels=labels)
        assert set(labels[rest]) == {5, 6, 7, 8}
        assert 7 not in labels[held]
        assert len(held) == 98


def test_split_more_classes_than_held_out():
    labels = np.arange(20) // 2
    rest, held = data.split_indices(20, 0.1, key=0, labels=labels)
    assert sorted(labels[rest]) == sorted(labels[held]) == list(range(10))


def test_split_shares_a_class_evenly_at_random():
    labels = np.zeros(50, int)
    counts = np.zeros(50)
    for key in range(60):
        counts[data.split_indices(50, 0.5, key=key, labels=labels)[1]] += 1
    assert counts.sum() == 60 * 25
    assert counts.min() > 12  # 30 ± 4.6 sigma
    assert counts.max() < 48


def test_split_of_regression_and_pairs():
    rest, held = data.split(data.load("diabetes"), 0.1, key=1)
    assert (len(rest), len(held)) == (398, 44)
    x, y = {"a": jnp.arange(12.0).reshape(6, 2), "b": np.arange(6)}, np.array([0, 1, 0, 1, 0, 1])
    (rest_x, rest_y), (held_x, held_y) = data.split((x, y), 1 / 3, key=1)
    assert sorted(held_y) == [0, 1]
    np.testing.assert_array_equal(rest_x["a"][:, 0], 2 * rest_x["b"])
    np.testing.assert_array_equal(rest_x["b"] % 2, rest_y)
    assert isinstance(held_x["a"], jax.Array)
    plain = data.split((x, y), 1 / 3, key=1, stratify=False)
    own = data.split((x, y), 1 / 3, key=1, stratify=np.array([0, 0, 0, 1, 1, 1]))
    assert len(plain[1][1]) == 2
    assert set(own[1][0]["b"] // 3) == {0, 1}


def test_split_keeps_the_test_part(tmp_path):
    whole = data.load(mnist(tmp_path))
    rest, held = data.split(whole, 0.4, key=0)
    assert rest.test is whole.test
    assert held.test is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: data.split_indices(9, 0.0, key=0), ValueError, "fraction must be > 0 and < 1; got 0.0"),
        (lambda: data.split_indices(9, 1, key=0), ValueError, "fraction must be > 0 and < 1; got 1"),
        (lambda: data.split_indices(1, 0.5, key=0), ValueError, "at least 2 examples; got 1"),
        (lambda: data.split_indices(9, 0.5, key="a"), TypeError, "key must be a PRNG key"),
        (lambda: data.split_indices(9, 0.5, key=jax.random.split(jax.random.key(0))), ValueError, r"of shape \(2,\)"),
        (lambda: data.split_indices(9, 0.5, key=0, labels=np.ones(8)), ValueError, r"shape \(9,\).*got \(8,\)"),
        (lambda: data.split_indices(9, 0.5, key=0, labels=np.arange(9)), ValueError, "every label occurs once"),
        (lambda: data.split(data.load("diabetes"), 0.5, key=0, stratify=True), ValueError, "stratify=True needs"),
        (lambda: data.split(np.ones(4), 0.5, key=0), TypeError, "a Dataset or a pair.*got ndarray"),
        (lambda: data.split((np.ones(4), np.ones(3)), 0.5, key=0), ValueError, "4 examples and data targets 3"),
    ],
)
def test_split_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- standardize ------------------------------------------------------------------------------------------------------


def test_standardize():
    rest, held = data.split(data.load("wine"), 0.3, key=0)
    a, b = data.standardize(rest, held)
    mean, std = rest.inputs.astype(np.float64).mean(0), rest.inputs.astype(np.float64).std(0)
    np.testing.assert_allclose(a.inputs, (rest.inputs - mean) / std, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(b.inputs, (held.inputs - mean) / std, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(a.inputs.astype(np.float64).mean(0), 0, atol=1e-7)
    np.testing.assert_allclose(a.inputs.astype(np.float64).std(0), 1, rtol=1e-6)
    assert a.inputs.dtype == b.inputs.dtype == np.float32
    assert a.feature_names == rest.feature_names
    (alone,) = data.standardize(rest)
    np.testing.assert_array_equal(alone.inputs, a.inputs)


def test_standardize_constant_features_and_test_part(tmp_path):
    got = data.load(mnist(tmp_path))
    inputs = got.inputs.copy()
    inputs[:, 1, 1] = np.float32(0.1)
    got = data.Dataset(inputs, got.targets, got.task, test=got.test)
    (scaled,) = data.standardize(got)
    assert np.all(scaled.inputs[:, 1, 1] == 0)
    assert np.isfinite(scaled.inputs).all()
    assert scaled.test is not None
    assert got.test is not None
    np.testing.assert_array_equal(scaled.test.inputs, data.fit_standardizer(got.inputs).apply(got.test.inputs))


def test_standardizer_far_from_zero_and_back():
    x = (1e6 + np.array([[0.0, 3.0], [1.0, 3.0], [5.0, 3.0]])).astype(np.float32)
    scaler = data.fit_standardizer(x)
    z = scaler.apply(x)
    np.testing.assert_allclose(z[:, 0], (np.array([0, 1, 5]) - 2) / np.sqrt(14 / 3), rtol=1e-6)
    np.testing.assert_array_equal(z[:, 1], 0)
    np.testing.assert_array_equal(scaler.inverse(z), x)
    assert scaler.mean.dtype == scaler.std.dtype == np.float64


def test_standardizer_of_jax_arrays():
    x = jnp.asarray([[1.0, -2.0], [3.0, 5.0], [8.0, 0.5]], jnp.bfloat16)
    scaler = data.fit_standardizer(x)
    with jax.numpy_rank_promotion("raise"):
        z = jax.jit(scaler.apply)(x)
        back = scaler.inverse(z)
    assert z.dtype == back.dtype == jnp.bfloat16
    np.testing.assert_allclose(z.astype(np.float32), scaler.apply(np.asarray(x, np.float32)), atol=0.02)
    np.testing.assert_allclose(back.astype(np.float32), x.astype(np.float32), rtol=0.02, atol=0.05)
    with pytest.raises(ValueError, match=r"inputs must have shape \(n, \*\(2,\)\); got \(3, 1\)"):
        scaler.apply(x[:, :1])
    with pytest.raises(ValueError, match=r"at least one example; got \(0, 2\)"):
        data.fit_standardizer(np.ones((0, 2)))


# --- check ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float64", "float32"), ("float32", "float32"), ("float16", "float16"), ("bfloat16", "bfloat16"),
        ("int64", "int32"), ("uint32", "int32"), ("int8", "int32"), ("uint8", "uint8"), ("bool", "bool"),
    ],
)  # fmt: skip
def test_check_types(dtype, expected):
    x = np.array([[1, 0], [0, 1]]).astype(jnp.dtype(dtype))
    got, labels = data.check({"a": x}, x[:, 0])
    assert got["a"].dtype == jnp.dtype(expected)
    np.testing.assert_array_equal(got["a"].astype(float), x.astype(float))
    assert isinstance(got["a"], np.ndarray)
    assert labels.dtype == ("int32" if dtype in ("uint8", "bool") else expected)
    with jax.enable_x64(True):
        on_device, _ = data.check(jnp.asarray(x), np.ones(2))
    assert isinstance(on_device, jax.Array)
    assert on_device.dtype == jnp.dtype(expected)


def test_check_targets():
    x, y = np.ones((3, 2)), np.array([2, 0, 1])
    assert data.check(x, y, task="regression")[1].dtype == np.float32
    assert data.check(x, y, task="multiclass", classes=3)[1].dtype == np.int32
    assert data.check(x, np.eye(3), task="multiclass", classes=3)[1].shape == (3, 3)
    assert data.check(x, np.array([0.0, 1.0, 0.3]), task="binary")[1].dtype == np.float32
    assert data.check((x, None), None)[1] is None


def test_check_passes_traced_arrays():
    got = jax.jit(lambda x, y: data.check(x, y, task="multiclass", classes=2))(np.ones(3), np.array([5, 6, 7]))
    np.testing.assert_array_equal(got[1], [5, 6, 7])


NAN = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan]])


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "error", "message"),
    [
        (np.ones(3), np.ones(4), {}, ValueError, "data inputs has 3 examples and data targets 4; they must be equally"),
        ({"u": np.ones(3), "v": np.ones(2)}, np.ones(3), {}, ValueError, r"inputs\['u'\] has 3 .*inputs\['v'\] 2"),
        (np.ones((0, 4)), np.ones(0), {"name": "mine"}, ValueError, r"mine inputs is empty: shape \(0, 4\)"),
        (np.float32(3), np.ones(3), {}, ValueError, "data inputs must have an axis of examples"),
        ((), None, {}, ValueError, "data holds no array"),
        ([[1.0, 2.0]], np.ones(1), {}, TypeError, "got the float 1.0; a list is a tree of leaves: pass numpy.asarray"),
        (np.array(["a"]), np.ones(1), {}, TypeError, "must hold real numbers; got <U1; encode strings"),
        (np.array([1j]), np.ones(1), {}, TypeError, "must hold real numbers; got complex128$"),
        (NAN, np.ones(2), {}, ValueError, "data inputs: nan in row 1, column 2; .*fill or drop missing values"),
        (jnp.asarray(NAN), np.ones(2), {}, ValueError, "data inputs: nan in row 1, column 2"),
        (np.ones(2), np.array([0, -np.inf]), {}, ValueError, "data targets: -inf in row 1;"),
        (np.full((2, 1, 2), 1e39), np.ones(2), {}, ValueError, r"1e\+39 in row 0, axis 1 0, axis 2 0; float32"),
        (np.array([1, 2**31]), np.ones(2), {}, ValueError, "2147483648 in row 1; whole numbers must fit int32"),
        (np.array([1, -(2**40)]), np.ones(2), {}, ValueError, "-1099511627776 in row 1"),
        (np.ones(2), np.array([0, 3]), {"classes": 3}, ValueError, r"3 in row 1; labels must be in \[0, 3\)"),
        (np.ones(2), np.array([0, -1]), {"task": "multiclass"}, ValueError, r"-1 in row 1; labels .* \[0, classes\)"),
        (np.ones(2), jnp.array([2, 0]), {"task": "binary"}, ValueError, r"2 in row 0; labels must be in \[0, 2\)"),
        (np.ones(2), np.array([0.5, 1.5]), {"task": "binary"}, ValueError, r"1.5 in row 1; .* must be in \[0, 1\]"),
        (np.ones(2), np.array([0.0, 1.0]), {"task": "multiclass"}, ValueError, "integer labels; got float32"),
        (np.ones(2), np.eye(2), {"task": "multiclass", "classes": 3}, ValueError, "2 columns .* for 3 classes"),
        (np.ones(2), np.ones(2), {"task": "multi"}, ValueError, "task must be one of"),
        (np.ones(2), np.ones(2), {"classes": 0}, ValueError, "classes must be >= 1; got 0"),
    ],
)  # fmt: skip
def test_check_errors(inputs, targets, options, error, message):
    with pytest.raises(error, match=message):
        data.check(inputs, targets, **options)


def test_check_looks_at_arrays_on_a_device(monkeypatch):
    monkeypatch.setattr(checks, "_look", lambda array: array)  # as where the device is no CPU
    x, y = jnp.asarray(NAN), jnp.array([1, 2])
    with pytest.raises(ValueError, match="data inputs: nan in row 1, column 2"):
        data.check(x, y)
    with pytest.raises(ValueError, match="data targets: 2 in row 1; labels must be in"):
        data.check(x[:, :2], y, classes=2)
    got = data.check(x[:, :2], y, task="multiclass", classes=3)
    assert all(isinstance(part, jax.Array) for part in got)


# --- fingerprint ------------------------------------------------------------------------------------------------------


def test_fingerprint_sees_every_difference():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    trees = [
        {"a": x}, {"b": x}, {"a": x, "b": None}, {"a": x.T}, {"a": x.reshape(4, 3)}, {"a": x.astype(np.float64)},
        {"a": x.view(np.int32)}, {"a": x, "b": x}, [x], x, {"a": np.nextafter(x, 99)}, {"a": x[:0]}, {"a": x[:0].T},
        {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": jax.random.key(1)},
        {"a": jax.random.key_data(jax.random.key(1))},
        x.astype(jnp.bfloat16), np.float32(1), np.array([True]), (), None,
    ]  # fmt: skip
    prints = [data.fingerprint(tree) for tree in trees]
    assert len(set(prints)) == len(prints)
    assert all(len(p) == 32 and int(p, 16) >= 0 for p in prints)


def test_fingerprint_ignores_layout_and_owner():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    same = data.fingerprint({"a": x, "b": x[:, 0]})
    assert data.fingerprint({"b": jnp.asarray(x)[:, 0], "a": np.asfortranarray(x)}) == same
    assert data.fingerprint({"a": x.astype(">f4"), "b": x[:, 0].copy()}) == same
    assert same == data.fingerprint({"a": x, "b": x[:, 0]})
    iris = data.load("iris")
    assert data.fingerprint(iris) == data.fingerprint((iris.inputs, iris.targets))
    with pytest.raises(TypeError, match=r"arrays of numbers; got ndarray at root\['s'\]"):
        data.fingerprint({"s": np.array(["a"])})


def test_fingerprint_is_fixed_and_sees_flips_in_large_arrays():
    x = np.arange(6, dtype="<i4")
    content = hashlib.blake2b(x.tobytes(), digest_size=16).digest()
    expected = hashlib.blake2b(b"(\"['x']\", 'int32', (6,))" + content, digest_size=16).hexdigest()
    assert data.fingerprint({"x": x}) == expected
    big = np.zeros(3 * 2**20 + 5, np.float32)  # four chunks
    before = data.fingerprint(big)
    assert before == data.fingerprint(big.copy())
    for place in (0, 2**20 - 1, 2**20, len(big) - 1):
        big[place] = 1
        assert data.fingerprint(big) != before
        big[place] = 0
