"""The one check where data enters, and the fingerprint that names data."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check

_CHUNK = 1 << 22  # bytes hashed at a time; part of the fingerprint's definition


def check(
    inputs: Any, targets: Any, *, task: str | None = None, classes: int | None = None, name: str = "data"
) -> tuple[Any, Any]:
    """The trees with types that training uses, after one look at every value.

    Args:
      inputs: tree of arrays (n, …): NumPy, jax or array-like; None has no leaf.
      targets: likewise; float labels are not taken for classes.
      task: "multiclass" (integers, or rows of class probabilities), "binary" (integers, or floats in [0, 1]),
        "regression", or None to check numbers only.
      classes: their number; integer targets must be in [0, classes).
      name: what messages call the data.

    Returns:
      ``(inputs, targets)``: float64 becomes float32, whole numbers int32, labels and truth values in targets int32,
      targets of a regression float. uint8 inputs stay uint8, a quarter of the memory: scale them where they are used.
      NumPy stays NumPy, jax arrays stay on their device; traced arrays pass unseen.

    Raises:
      TypeError: a leaf that is no array of real numbers.
      ValueError: no examples, lengths that differ, NaN or infinity, labels out of range.
    """
    if task is not None:
        _check.one_of("task", task, ("multiclass", "binary", "regression"))
    if classes is not None:
        classes = _check.integer("classes", classes, low=1)
    inputs = jax.tree_util.tree_map_with_path(lambda p, x: _array(_label(name, "inputs", p), x), inputs)
    targets = jax.tree_util.tree_map_with_path(lambda p, y: _array(_label(name, "targets", p), y), targets)
    count_examples(inputs, targets, name=name)
    inputs = jax.tree_util.tree_map_with_path(lambda p, x: _narrow(_label(name, "inputs", p), x), inputs)
    return inputs, jax.tree_util.tree_map_with_path(
        lambda p, y: _target(_label(name, "targets", p), y, task, classes), targets
    )


def count_examples(inputs: Any, targets: Any = None, *, name: str = "data") -> int:
    """The length of the first axis, the same for every leaf of both trees; a ValueError with both numbers otherwise."""
    first, count = "", None
    for part, tree in (("inputs", inputs), ("targets", targets)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            label, shape = _label(name, part, path), np.shape(leaf)
            if not shape:
                raise ValueError(f"{label} must have an axis of examples; got a single number")
            if count is None:
                first, count = label, shape[0]
            if shape[0] != count:
                raise ValueError(f"{first} has {count} examples and {label} {shape[0]}; they must be equally many")
            if not shape[0]:
                raise ValueError(f"{label} is empty: shape {shape}")
    if count is None:
        raise ValueError(f"{name} holds no array")
    return count


def _label(name: str, part: str, path: tuple) -> str:
    return f"{name} {part}{jax.tree_util.keystr(path)}"


def _array(label: str, leaf: Any) -> Any:
    """``leaf`` as an array of real numbers."""
    if isinstance(leaf, (bool, int, float, complex, str, bytes)):
        what = f"the {type(leaf).__name__} {leaf!r}"
        raise TypeError(f"{label} must be an array; got {what}; a list is a tree of leaves: pass numpy.asarray(list)")
    array = leaf if isinstance(leaf, jax.Array) else np.asarray(leaf)
    if array.dtype != bool and not any(jnp.issubdtype(array.dtype, kind) for kind in (jnp.integer, jnp.floating)):
        hint = "; encode strings as class indices first" if array.dtype.kind in "USO" else ""
        raise TypeError(f"{label} must hold real numbers; got {array.dtype}{hint}")
    return array


def _narrow(label: str, array: Any) -> Any:
    """float64 to float32 and integers but uint8 to int32, when every value is finite and fits."""
    if _check.is_traced(array) or array.dtype in (bool, np.uint8):
        return array
    if jnp.issubdtype(array.dtype, jnp.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold is named just below
            narrow = array.astype(np.float32) if array.dtype.itemsize > 4 else array
        seen = _look(narrow)
        library = jnp if isinstance(seen, jax.Array) else np
        # One product shows that all is well many times faster than a look at every value; it may overflow of itself.
        with np.errstate(over="ignore", invalid="ignore"):
            well = bool(np.isfinite(library.vdot(seen, seen)))
        finite = None if well else library.isfinite(seen)
        if finite is not None and not finite.all():
            _refuse(label, array, finite, "float32 holds finite numbers only; fill or drop missing values first")
        return narrow
    if array.dtype.itemsize >= 4 and array.dtype != np.int32:
        info, seen = np.iinfo(np.int32), _look(array)
        if seen.size and (int(seen.max()) > info.max or int(seen.min()) < info.min):
            _refuse(label, array, (seen <= info.max) & (seen >= info.min), "whole numbers must fit int32")
    return array.astype(np.int32)


def _look(array: Any) -> Any:
    """The array to look at: NumPy's view of it, where that is free, or the array on its device."""
    on_host = not isinstance(array, jax.Array) or all(device.platform == "cpu" for device in array.devices())
    return np.asarray(array) if on_host else array


def _target(label: str, array: Any, task: str | None, classes: int | None) -> Any:
    if _check.is_traced(array):
        return array
    array = _narrow(label, array)
    if task == "regression":
        return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(np.float32)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(np.int32)
        seen = _look(array)
        top = 2 if task == "binary" and classes is None else classes
        if top is not None or task == "multiclass":
            inside = (seen >= 0) & (seen < (top if top is not None else np.iinfo(np.int32).max))
            if not inside.all():
                bound = f"[0, {top})" if top is not None else "[0, classes)"
                _refuse(label, array, inside, f"labels must be in {bound}: are they counted from 0?")
    elif task == "binary":
        seen = _look(array)
        inside = (seen >= 0) & (seen <= 1)
        if not inside.all():
            _refuse(label, array, inside, "targets of a binary task must be in [0, 1]")
    elif task == "multiclass":
        if array.ndim < 2:
            raise ValueError(f"{label} must be integer labels; got {array.dtype}; convert them with .astype('int32')")
        if classes is not None and array.shape[-1] != classes:
            raise ValueError(f"{label} has {array.shape[-1]} columns of class probabilities for {classes} classes")
    return array


def _refuse(label: str, array: Any, good: Any, rule: str) -> None:
    """A ValueError with the first value that is not ``good``, and its place."""
    place = tuple(int(i) for i in np.unravel_index(int(np.argmin(np.asarray(good))), array.shape))
    where = ("row", "column") if array.ndim <= 2 else ("row", *("axis " + str(i) for i in range(1, array.ndim)))
    at = ", ".join(f"{axis} {i}" for axis, i in zip(where, place, strict=False))
    raise ValueError(f"{label}: {np.asarray(array[place]).item()!r} in {at}; {rule}")


def fingerprint(tree: Any) -> str:
    """The BLAKE2b-128 hex digest of a tree of arrays: paths, shapes, types and bytes of the leaves.

    The same on every machine, for NumPy and jax arrays, and for any memory layout or byte order; a list and a tuple of
    the same leaves count as equal, None counts as a leaf. A data set is named by its ``(inputs, targets)``.

    Raises:
      TypeError: a leaf that is neither an array of numbers, nor a number or string, nor None.
    """
    if hasattr(tree, "inputs") and hasattr(tree, "targets"):
        tree = (tree.inputs, tree.targets)
    digest = hashlib.blake2b(digest_size=16)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: node is None):
        label = jax.tree_util.keystr(path)
        if leaf is None or isinstance(leaf, (bool, int, float, complex, str)):
            digest.update(repr((label, type(leaf).__name__, leaf)).encode())
            continue
        dtype = getattr(leaf, "dtype", None)
        if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
            label, leaf = f"{label} {jax.random.key_impl(leaf)}", jax.random.key_data(leaf)
        array = np.asarray(leaf)
        if array.dtype != bool and not jnp.issubdtype(array.dtype, np.number):
            raise TypeError(f"a fingerprint is of arrays of numbers; got {type(leaf).__name__} at root{label}")
        digest.update(repr((label, array.dtype.name, array.shape)).encode())
        for part in _chunk_digests(_bytes(array)):
            digest.update(part)
    return digest.hexdigest()


def _bytes(array: np.ndarray) -> memoryview:
    """The little-endian bytes in C order."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    return array.view(np.uint8).data


def _chunk_digests(content: memoryview) -> Iterable[bytes]:
    """The digest of each chunk; hashlib lets other threads run, and one core hashes barely 500 MB/s."""
    chunks = [content[i : i + _CHUNK] for i in range(0, len(content), _CHUNK)]
    if len(chunks) < 2:
        return map(_digest, chunks)
    with ThreadPoolExecutor() as threads:
        return list(threads.map(_digest, chunks))


def _digest(chunk: memoryview) -> bytes:
    return hashlib.blake2b(chunk, digest_size=16).digest()
