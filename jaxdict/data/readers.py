"""Readers: the sets that scikit-learn bundles, IDX folders, NumPy archives and comma-separated files."""

import csv
import dataclasses
import gzip
import importlib.util
import io
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxdict import _check
from jaxdict.data.checks import check
from jaxdict.data.dataset import TASKS, Dataset, Task

# --- the sets that scikit-learn bundles -------------------------------------------------------------------------------


class _Bundled(NamedTuple):
    task: Task
    features: tuple[str, ...]
    files: tuple[str, ...]
    classes: tuple[str, ...] = ()


_CELL = (
    "radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity", "concave points", "symmetry",
    "fractal dimension",
)  # fmt: skip
_BUNDLED = {
    "digits": _Bundled(
        "multiclass",
        tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
        ("digits.csv.gz",),
        tuple("0123456789"),
    ),
    "wine": _Bundled(
        "multiclass",
        (
            "alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids",
            "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines",
            "proline",
        ),
        ("wine_data.csv",),
    ),
    "iris": _Bundled(
        "multiclass",
        ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
        ("iris.csv",),
    ),
    "breast_cancer": _Bundled(
        "binary",
        (*(f"mean {f}" for f in _CELL), *(f"{f} error" for f in _CELL), *(f"worst {f}" for f in _CELL)),
        ("breast_cancer.csv",),
    ),
    "diabetes": _Bundled(
        "regression",
        ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"),
        ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz"),
    ),
}  # fmt: skip


def load(
    source: str | os.PathLike[str],
    *,
    target: str | None = None,
    task: Task | None = None,
    flatten: bool = False,
    name: str | None = None,
) -> Dataset:
    """Load a bundled set, a folder of IDX files, an ``.npz`` or a ``.csv``; the test part, if any, is ``.test``.

    Args:
      source: "digits" (n, 64) in [0, 1], "iris", "wine", "breast_cancer" or "diabetes" (raw units, not scaled); or a
        path. A bundled name goes before a folder of that name: write "./digits" for the folder.
      target: the column of a ``.csv`` (required there), or the key of the targets in an ``.npz``.
      task: overrides the task that is read off the targets of a ``.csv`` or ``.npz``.
      flatten: images as (n, height * width) instead of (n, height, width).
      name: what messages call the data; the file's name if not given.

    Raises:
      ValueError: unknown name (with the closest), wrong or damaged file, unusable values.
      FileNotFoundError: no such path.
      ModuleNotFoundError: a bundled set without scikit-learn.
    """
    path, given = Path(source), os.fspath(source)
    word = isinstance(source, str) and not any(c in source for c in "./\\")
    bundled = next((known for known in _BUNDLED if word and _check.fold(known) == _check.fold(given)), None)
    suffixes = [s.lower() for s in path.suffixes if s.lower() != ".gz"]
    kind = "bundled" if bundled else "idx" if path.is_dir() else suffixes[-1] if suffixes else ""
    if target is not None and kind in ("bundled", "idx"):
        raise ValueError(f"target is for .csv and .npz files; got target={target!r} with {given!r}")
    if task is not None and kind in ("bundled", "idx"):
        raise ValueError(f"task is for .csv and .npz files; got task={task!r} with {given!r}")
    if bundled:
        return _load_bundled(bundled, name or bundled)
    if kind == "idx":
        train, test = load_idx(path, flatten=flatten, name=name)
        return dataclasses.replace(train, test=test)
    if kind == ".npz":
        return load_npz(path, target=target, task=task, flatten=flatten, name=name)
    if kind == ".csv":
        return load_csv(path, target=target, task=task, name=name)
    if word and not path.exists():
        hint = _check.did_you_mean(given, _BUNDLED)
        raise ValueError(f"no data set is called {given!r}, and there is no such folder; {hint}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    raise ValueError(f"{path}: data is a folder of IDX files, an .npz or a .csv; got {path.suffix or 'no suffix'}")


def _load_bundled(key: str, name: str) -> Dataset:
    found = importlib.util.find_spec("sklearn")  # finds the package, imports nothing of it
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the data set {key!r} comes with scikit-learn, which is not installed; pip install 'jaxdict[train]'"
        )
    folder = Path(next(iter(found.submodule_search_locations)), "datasets", "data")
    about = _BUNDLED[key]
    texts = [_read_bytes(folder / file).decode() for file in about.files]
    if key == "diabetes":
        inputs, targets = (np.loadtxt(io.StringIO(text)) for text in texts)
        return _dataset(inputs, targets, about.task, name, about.features)
    classes = about.classes
    if not classes:  # the first line holds the counts and the names of the classes
        first, texts[0] = texts[0].split("\n", 1)
        classes = tuple(first.strip().split(",")[2:])
    table = np.loadtxt(io.StringIO(texts[0]), delimiter=",")
    inputs = table[:, :-1] / 16 if key == "digits" else table[:, :-1]
    return _dataset(inputs, table[:, -1], about.task, name, about.features, classes)


def _dataset(inputs, targets, task: Task, name: str, features: Sequence[str] = (), classes: Sequence[str] = ()):
    inputs = np.asarray(inputs, np.float32)
    targets = np.asarray(targets, np.float32 if task == "regression" else np.int32)
    inputs, targets = check(inputs, targets, task=task, classes=len(classes) or None, name=name)
    return Dataset(inputs, targets, task, tuple(features), tuple(classes), name)


def _read_bytes(path: Path) -> bytes:
    """The content of ``path``, unzipped when it is gzip; errors name the file and the fix."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such file") from error
    if content[:2] != b"\x1f\x8b":
        if path.suffix == ".gz":
            raise ValueError(f"{path}: not a gzip file; download it again, or drop .gz from the name if it is unzipped")
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip ({error}); download it again") from error


# --- labels -----------------------------------------------------------------------------------------------------------


def _encode(parts: Sequence[np.ndarray]) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The labels of each part as indices into the sorted different labels of all of them, and those labels' names."""
    parts = [part.astype(str) if part.dtype.kind == "S" else part for part in parts]
    different, indices = np.unique(np.concatenate(parts), return_inverse=True)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    whole = different.dtype.kind == "f" and bool((different == np.floor(different)).all())
    return np.split(indices.astype(np.int32), ends), tuple(str(int(d)) if whole else str(d) for d in different)


def _class_task(classes: Sequence[str]) -> Task:
    return "multiclass" if len(classes) > 2 else "binary"


def _make(
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    task: Task | None,
    name: str,
    features: Sequence[str] = (),
) -> list[Dataset]:
    """The parts as data sets of one task and one numbering of classes; ``task`` None means labels."""
    if task == "regression":
        if any(y.dtype.kind not in "fiub" for _, y in parts):
            raise ValueError(f"{name}: targets of a regression must be numbers; got {parts[0][1].dtype}")
        return [_dataset(x, y, task, name, features) for x, y in parts]
    for x, y in parts:
        if y.ndim != 1:
            raise ValueError(f"{name}: labels must have shape (n,); got {y.shape}; for one-hot rows, take their argmax")
        if len(x) != len(y):
            raise ValueError(f"{name}: {len(x)} inputs and {len(y)} targets; they must be equally many")
        if y.dtype.kind == "f" and not np.isfinite(y).all():
            raise ValueError(f"{name}: targets hold NaN or inf, which is no label")
    labels, classes = _encode([y for _, y in parts])
    if task == "binary" and len(classes) > 2:
        raise ValueError(f"{name}: a binary task has two classes; got {len(classes)}: {', '.join(classes[:6])} …")
    kind = task or _class_task(classes)
    return [_dataset(x, y, kind, name, features, classes) for (x, _), y in zip(parts, labels, strict=True)]


# --- IDX --------------------------------------------------------------------------------------------------------------

_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: str | os.PathLike[str], *, dims: int | None = None) -> np.ndarray:
    """The array in an IDX file, plain or gzipped, in its own type.

    Args:
      path: the file.
      dims: the number of axes that it must have.

    Raises:
      FileNotFoundError: no such file.
      ValueError: damaged gzip, wrong magic number or number of axes, fewer or more bytes than announced.
    """
    path = Path(path)
    content = _read_bytes(path)
    found = content[:4].hex()
    kind = _IDX_TYPES.get(content[2]) if len(content) >= 4 and content[:2] == b"\0\0" else None
    if kind is None:
        raise ValueError(f"{path}: not an IDX file (magic number 0x{found or 'nothing'}); download it again")
    axes = content[3]
    if dims is not None and axes != dims:
        images = "images have 3 axes, labels 1; are the files swapped?"
        raise ValueError(f"{path}: expected an IDX file of {dims} axes, found {axes} (magic 0x{found}); {images}")
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{path}: truncated in its header, {start} bytes expected, {len(content)} found")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", axes, 4))
    dtype = np.dtype(kind)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "too long"
        raise ValueError(
            f"{path}: {what}, {expected} bytes expected for shape {shape}, {len(content)} found; download it again"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def load_idx(
    folder: str | os.PathLike[str], *, flatten: bool = False, name: str | None = None
) -> tuple[Dataset, Dataset | None]:
    """The training part and the test part, None if absent, of an MNIST-like folder.

    Args:
      folder: holds train-images-idx3-ubyte and train-labels-idx1-ubyte, and t10k-… for the test part; ``.gz`` and
        ``images.idx3-ubyte`` are accepted.
      flatten: (n, height * width) instead of (n, height, width).
      name: what messages call the data; the folder's name if not given.

    Returns:
      Data sets with images as float32 in [0, 1].

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a damaged file, or unequal counts of images and labels.
    """
    folder = Path(folder)
    parts = [_idx_part(folder, "train")]
    if any(_idx_file(folder, "t10k", kind) for kind in ("images-idx3", "labels-idx1")):
        parts.append(_idx_part(folder, "t10k"))
    parts = [(as_images(x, flatten), y) for x, y in parts]
    train, *test = _make(parts, None, name or folder.resolve().name)
    return train, test[0] if test else None


def _idx_file(folder: Path, part: str, kind: str) -> Path | None:
    stem = f"{part}-{kind}-ubyte"
    stems = (stem, stem.replace("-idx", ".idx"))
    return next((folder / (s + end) for s in stems for end in ("", ".gz") if (folder / (s + end)).is_file()), None)


def _idx_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    paths = []
    for kind in ("images-idx3", "labels-idx1"):
        path = _idx_file(folder, part, kind)
        if path is None:
            raise FileNotFoundError(
                f"{folder}: {part}-{kind}-ubyte (or with .gz) is missing; an MNIST-like folder holds "
                "train-images-idx3-ubyte and train-labels-idx1-ubyte, and t10k-… for the test part"
            )
        paths.append(path)
    images, labels = read_idx(paths[0], dims=3), read_idx(paths[1], dims=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{paths[0]} holds {len(images)} images and {paths[1].name} {len(labels)} labels; "
            "they must be equally many: take both from one source"
        )
    return images, labels


def as_images(inputs: np.ndarray, flatten: bool) -> np.ndarray:
    """float32; bytes are scaled from 0…255 to [0, 1]."""
    scaled = inputs.astype(np.float32)
    if inputs.dtype == np.uint8:
        scaled /= np.float32(255)
    return scaled.reshape(len(scaled), math.prod(scaled.shape[1:])) if flatten and scaled.ndim > 1 else scaled


# --- npz --------------------------------------------------------------------------------------------------------------

_NPZ_KEYS = (("x_train", "y_train"), ("inputs", "targets"), ("x", "y"), ("data", "target"))


def load_npz(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    task: Task | None = None,
    flatten: bool = False,
    name: str | None = None,
) -> Dataset:
    """The data set in a NumPy archive: keys x_train, y_train, x_test, y_test; inputs, targets; x, y; or data, target.

    Args:
      path: the file.
      target: another key of the targets; the inputs are then under the usual key, or the only other one.
      task: None means a regression when the targets are floats, classes when they are whole numbers or strings.
      flatten: inputs as (n, product of the rest).
      name: what messages call the data; the file's name if not given.

    Returns:
      The data set, with ``test`` when x_test and y_test are there. uint8 inputs are scaled from 0…255 to [0, 1].

    Raises:
      FileNotFoundError: no such file.
      ValueError: not an archive, missing keys, pickled objects, unusable values.
    """
    path = Path(path)
    name = name or path.stem
    arrays = read_npz(path)
    pair = _npz_pair(path, list(arrays), target)
    pairs = [pair, ("x_test", "y_test")] if pair == _NPZ_KEYS[0] and {"x_test", "y_test"} <= set(arrays) else [pair]
    parts = []
    for x, y in pairs:
        inputs, targets = arrays[x], arrays[y]
        if inputs.ndim == 0 or targets.ndim == 0:
            raise ValueError(f"{path}: {x!r}, {y!r} need an axis of examples; got {inputs.shape}, {targets.shape}")
        if inputs.dtype.kind not in "fiub":
            raise ValueError(f"{path}: {x!r} must be numbers; got {inputs.dtype}")
        column = targets.ndim == 2 and targets.shape[1] == 1 and targets.dtype.kind != "f"
        parts.append((as_images(inputs, flatten), targets[:, 0] if column else targets))
    if task is not None:
        _check.one_of("task", task, TASKS)
    floats = all(y.dtype.kind == "f" for _, y in parts)
    train, *test = _make(parts, task or ("regression" if floats else None), name)
    return dataclasses.replace(train, test=test[0] if test else None)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name; FileNotFoundError, or ValueError for one that cannot be read without pickle."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (OSError, EOFError, ValueError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: not a readable .npz without pickled objects ({error})") from error


def _npz_pair(path: Path, keys: list[str], target: str | None) -> tuple[str, str]:
    if target is None:
        for pair in _NPZ_KEYS:
            if set(pair) <= set(keys):
                return pair
        expected = "; ".join(", ".join(pair) for pair in _NPZ_KEYS)
        held = ", ".join(keys) or "nothing"
        raise ValueError(f"{path}: holds {held}; expected one of: {expected}; or name the target")
    if target not in keys:
        raise ValueError(f"{path}: no targets {target!r}; {_check.did_you_mean(target, keys)}")
    others = [key for key in keys if key != target]
    usual = [x for x, _ in _NPZ_KEYS if x in others] or (others if len(others) == 1 else [])
    if not usual:
        raise ValueError(f"{path}: which of {', '.join(others) or 'no keys'} are the inputs? call them 'inputs'")
    return usual[0], target


# --- csv --------------------------------------------------------------------------------------------------------------


def load_csv(
    path: str | os.PathLike[str], *, target: str | None = None, task: Task | None = None, name: str | None = None
) -> Dataset:
    """The data set in a comma-separated file with a header; every column but the target is a numeric feature.

    Args:
      path: the file, UTF-8, plain or gzipped; blank lines are skipped.
      target: the name of the target column, required; the error without it lists the columns.
      task: None decides by the targets: strings are classes, and so are whole numbers when there are two of them or
        they run from 0 or 1 without a gap, each twice on average; everything else is a regression.
      name: what messages call the data; the file's name if not given.

    Returns:
      The data set; inputs (n, columns - 1) in the order of the header.

    Raises:
      FileNotFoundError: no such file.
      ValueError: no such column, no rows, and, by line and column: a cell that is no finite number, a ragged row.
    """
    path = Path(path)
    header, rows, lines = read_table(path)
    if target is None:
        raise ValueError(f"{path}: name the target column; columns: {', '.join(header)}")
    if target not in header:
        close = _check.closest(target, header, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"{path}: no column {target!r}; {hint}columns: {', '.join(header)}")
    if task is not None:
        _check.one_of("task", task, TASKS)
    place = header.index(target)
    labels = [row.pop(place).strip() for row in rows]
    features = header[:place] + header[place + 1 :]
    if not features:
        raise ValueError(f"{path}: no column besides the target {target!r}; at least one feature is needed")
    for line, label in zip(lines, labels, strict=True):
        if not label:
            raise ValueError(f"{path}: line {line}, column {target!r}: empty target")
    inputs = parse_numbers(path, rows, lines, features)
    targets: np.ndarray = np.array(labels)
    numeric = all(_is_number(label) for label in labels)
    if task == "regression" or (numeric and task is None and not _look_like_labels(labels)):
        targets, task = parse_numbers(path, [[label] for label in labels], lines, [target])[:, 0], "regression"
    elif numeric:
        targets = parse_numbers(path, [[label] for label in labels], lines, [target])[:, 0]
    return _make([(inputs, targets)], task, name or path.name.split(".")[0], features)[0]


def read_table(path: Path) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and the number of the line that each row ends on."""
    try:
        text = _read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    rows, lines = [], []
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: {error}") from error
    if not rows:
        raise ValueError(f"{path}: empty; the first line must be a header with the names of the columns")
    header = [cell.strip() for cell in rows.pop(0)]
    lines.pop(0)
    if twice := [column for column in header if header.count(column) > 1]:
        raise ValueError(f"{path}: the header names {twice[0]!r} twice")
    if not rows:
        raise ValueError(f"{path}: a header without rows")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(header):
            raise ValueError(f"{path}: line {line} has {len(row)} cells, the header {len(header)}")
    return header, rows, lines


def parse_numbers(path: Path, rows: list[list[str]], lines: list[int], columns: list[str]) -> np.ndarray:
    """The cells as float64 (rows, columns); the first cell that is no finite number is named."""
    table = np.empty((len(rows), len(columns)))
    for i, row in enumerate(rows):
        try:
            table[i] = list(map(_number, row))
        except ValueError:
            bad = next(j for j, cell in enumerate(row) if not _is_number(cell))
            place = f"line {lines[i]}, column {columns[bad]!r}"
            raise ValueError(f"{path}: {place}: {row[bad]!r} is not a number") from None
    with np.errstate(over="ignore"):  # what float32 cannot hold is named here too
        finite = np.isfinite(table.astype(np.float32))
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise ValueError(
            f"{path}: line {lines[i]}, column {columns[j]!r}: {rows[i][j]!r} is not a finite float32; "
            "fill or drop missing values first"
        )
    return table


def _number(cell: str) -> float:
    if "_" in cell:  # float reads "1_000" as 1000
        raise ValueError(cell)
    return float(cell)


def _is_number(cell: str) -> bool:
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _look_like_labels(cells: list[str]) -> bool:
    if not all(cell.lstrip("+-").isdecimal() for cell in cells):
        return False
    different = sorted({int(cell) for cell in cells})
    unbroken = different[0] in (0, 1) and different[-1] - different[0] == len(different) - 1
    return 2 * len(different) <= len(cells) and (len(different) == 2 or (len(different) > 2 and unbroken))
