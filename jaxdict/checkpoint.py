"""Checkpoints: one safetensors file each, with JSON in its header; written atomically, verified when read; no pickle.

A leaf is named by its path, ``params/dense_1/kernel``. Arrays of every type that jax has keep their bits. Python
numbers, strings and what is not array data stand in the JSON under ``__metadata__``, with a digest of it and of every
tensor, so that a damaged file is found. None, empty containers and jax's weak types leave no trace in a file: with
``like`` they come from there.
"""

import contextlib
import glob
import hashlib
import json
import os
import re
import secrets
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import __version__, _check

FORMAT = 1  # version of what is written; files up to it are read
_KEY = "jaxdict"
_NATIVE = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32", "I32": "int32",
    "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip
_FOREIGN = {"C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}  # read, but written as bytes
_MAX_TEXT = 40_000_000  # safetensors refuses headers above 100 MB, and quoting makes JSON longer
_writing: set[str] = set()  # temporary names that this process writes just now


class CheckpointError(ValueError):
    """A file that is no usable checkpoint, or not the expected one; the message names the file and what is wrong."""


class _Leaf(NamedTuple):
    """A leaf as it is compared: "tensor" with its type and shape, "key" with its generator, or "value"."""

    kind: str
    dtype: str
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"a Python {self.dtype}" if self.kind == "value" else f"{self.kind} {self.dtype} {self.shape}"


# --- trees to named arrays and values, and back -----------------------------------------------------------------------


def _named(tree: Any) -> dict[str, Any]:
    """The leaves by path; a CheckpointError when two have one name."""
    leaves: dict[str, Any] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in leaves or name == "__metadata__":
            what = "reserved" if name == "__metadata__" else "the name of two leaves; rename a key that contains '/'"
            raise CheckpointError(f"{name!r} is {what}")
        leaves[name] = leaf
    return leaves


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(name: str, leaf: Any) -> _Leaf:
    """What kind of leaf this is; a TypeError for one that a checkpoint cannot hold."""
    if type(leaf) in (bool, int, float, str):
        return _Leaf("value", type(leaf).__name__)
    if _is_key(leaf):
        implementation: list[str] = []  # asked while tracing, since a ShapeDtypeStruct of a key has no other answer
        jax.eval_shape(lambda key: implementation.append(str(jax.random.key_impl(key))), leaf)
        return _Leaf("key", implementation[0], tuple(leaf.shape))
    dtype = getattr(leaf, "dtype", None)
    if dtype is None or not (np.dtype(bool) == dtype or jnp.issubdtype(dtype, np.number)):
        raise TypeError(
            f"a checkpoint holds arrays of numbers, PRNG keys, int, float, bool and str; got {type(leaf).__name__} "
            f"{'of ' + str(dtype) + ' ' if dtype is not None else ''}at {name!r}"
        )
    return _Leaf("tensor", np.dtype(dtype).name, tuple(leaf.shape))


def _encode(leaf: Any, info: _Leaf) -> np.ndarray:
    """The array that is written: little-endian in C order, as bytes in a last axis where safetensors has no type."""
    array = np.asarray(jax.random.key_data(leaf) if info.kind == "key" else leaf)
    array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
    if array.dtype.name in _NATIVE.values():
        return array
    return array.reshape(*array.shape, 1).view(np.uint8)


class _Content(NamedTuple):
    """A verified file: arrays as NumPy, keys as their data; ``header`` is None in a file of another program."""

    arrays: dict[str, np.ndarray]
    leaves: dict[str, _Leaf]
    header: dict[str, Any] | None


def _decode(name: str, content: _Content, as_numpy: bool = False) -> Any:
    """The leaf called ``name``; a jax array unless jax would narrow its type, as it does with 64 bits by default."""
    info = content.leaves[name]
    if info.kind == "value":
        return content.header["values"][name]  # type: ignore[index]  # values come from a header
    array = content.arrays[name]
    if info.kind == "key":
        return jax.random.wrap_key_data(jnp.array(array), impl=info.dtype)
    if as_numpy or jax.dtypes.canonicalize_dtype(array.dtype) != array.dtype:
        return array
    return jnp.array(array)


# --- one file ---------------------------------------------------------------------------------------------------------


def save(path: str | os.PathLike[str], tree: Any, *, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write ``tree`` to ``path`` so that a kill at any moment leaves the old file or the new one, whole.

    Args:
      path: by custom ``….safetensors``; its folder is made when missing. One process writes a path at a time.
      tree: a pytree of arrays of numbers, typed PRNG keys, and Python int, float, bool and str; or an object with a
        method ``__checkpoint__()`` that gives ``(tree, metadata)``.
      metadata: anything JSON can say, NumPy numbers included; comes on top of the object's own.

    Returns:
      The path.

    Raises:
      TypeError: a leaf that a checkpoint cannot hold, metadata that JSON cannot say.
      CheckpointError: two leaves of one name, more JSON than a header holds.
      OSError: the folder cannot be written, the disk is full.
      ModuleNotFoundError: safetensors is not installed.
    """
    path, own = Path(path), {}
    if hasattr(type(tree), "__checkpoint__"):
        tree, own = tree.__checkpoint__()
    leaves = _named(tree)
    infos = _described(leaves)
    arrays = {name: _encode(leaf, infos[name]) for name, leaf in leaves.items() if infos[name].kind != "value"}
    header = {
        "format": FORMAT,
        "version": __version__,
        "values": {name: leaf for name, leaf in leaves.items() if infos[name].kind == "value"},
        "keys": {name: info.dtype for name, info in infos.items() if info.kind == "key"},
        "types": {
            name: info.dtype
            for name, info in infos.items()
            if info.kind == "tensor" and info.dtype not in _NATIVE.values()
        },
        "metadata": {**own, **(metadata or {})},
    }
    try:
        text = json.dumps(header, default=_plain)
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must be what JSON can say; {error}") from error
    if len(text) > _MAX_TEXT:
        raise CheckpointError(f"{path}: {len(text)} characters of JSON, at most {_MAX_TEXT}; save long lists as arrays")
    _write(path, arrays, {_KEY: text, "digest": _digest(text, arrays)})
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)) and np.ndim(value) == 0:
        return value.item()
    raise TypeError(f"got {type(value).__name__} {value!r}; arrays belong in the tree")


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(repr((name, array.dtype.name, array.shape)).encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _write(path: Path, arrays: dict[str, np.ndarray], text: dict[str, str]) -> None:
    """Write beside ``path``, force it to the disk, and only then give it the name."""
    safetensors = _safetensors()
    path.parent.mkdir(parents=True, exist_ok=True)
    _clean(path.parent, glob.escape(path.name))
    try:
        content = safetensors.numpy.save(arrays, metadata=text)  # save_file would make it readable to its owner only
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: could not be written: {error}") from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    _writing.add(temporary.name)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        _writing.discard(temporary.name)


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("checkpoints need safetensors; pip install 'jaxdict[train]'") from error
    return safetensors


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clean(folder: Path, name: str) -> None:
    """Remove temporary files of ``name``, a pattern, that killed processes left."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        with contextlib.suppress(OSError):
            if leftover.name not in _writing and _abandoned(leftover):
                leftover.unlink(missing_ok=True)


def _abandoned(temporary: Path) -> bool:
    found = re.search(r"\.(\d+)-\w+\.tmp$", temporary.name)
    if found is None:
        return False
    if int(found[1]) == os.getpid() or time.time() - temporary.stat().st_mtime > 3600:
        return True
    if os.name != "posix":  # elsewhere signal 0 is not a question
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def load(path: str | os.PathLike[str], like: Any = None) -> Any:
    """The tree in ``path``; see `read`, which also gives the metadata.

    Plain safetensors files of other programs are read too, without a digest to check them by.
    """
    path = Path(path)
    return _build(path, _verified(path), like)


def read(path: str | os.PathLike[str], like: Any = None) -> tuple[Any, dict[str, Any]]:
    """The tree and the metadata in ``path``.

    Args:
      path: a file that `save` wrote.
      like: a tree of the expected structure: arrays, ``jax.ShapeDtypeStruct``, keys, Python values. Without it come
        nested dicts with the parts of the paths as keys.

    Returns:
      ``(tree, metadata)``. Arrays are jax arrays; NumPy arrays where ``like`` has them, or where jax would narrow the
      type: 64-bit types while x64 is off. No bit is ever lost.

    Raises:
      CheckpointError: missing, empty, truncated or damaged file, one by a newer jaxdict, no jaxdict checkpoint; or the
        first difference to ``like``: a leaf missing, one too many, another kind, shape or type.
    """
    path = Path(path)
    content = _verified(path)
    if content.header is None:
        raise CheckpointError(f"{path}: not a jaxdict checkpoint, it has no metadata; load reads its tensors")
    return _build(path, content, like), content.header["metadata"]


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata in ``path``, without its tensors and without verifying them.

    Raises:
      CheckpointError: as `read`, but for damage within the tensors.
    """
    path = Path(path)
    with _opened(path) as file:
        header = _our_header(path, _raw_header(path, file))
    if header is None:
        raise CheckpointError(f"{path}: not a jaxdict checkpoint, it has no metadata; load reads its tensors")
    return header["metadata"]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error


def _raw_header(path: Path, file: BinaryIO) -> dict[str, Any]:
    """The JSON header of a safetensors file that is as long as its header says."""
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise CheckpointError(f"{path}: the file is empty")
    length = int.from_bytes(file.read(8), "little")
    if 8 + length > size:
        raise CheckpointError(f"{path}: truncated or not a safetensors file; {size} bytes")
    try:
        fields = json.loads(file.read(length))
        dict(fields.get("__metadata__", {}))
        end = max(
            (int(field["data_offsets"][1]) for name, field in fields.items() if name != "__metadata__"), default=0
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, its header is not what it should be") from error
    if size < 8 + length + end:
        raise CheckpointError(f"{path}: truncated; {8 + length + end} bytes expected, {size} found")
    return fields


def _our_header(path: Path, fields: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON that `save` wrote, when it is of a version that is understood; None in files of other programs."""
    text = fields.get("__metadata__", {}).get(_KEY)
    if text is None:
        return None
    try:
        header = json.loads(text)
        version = int(header["format"])
        if version <= FORMAT:
            header.update({name: dict(header[name]) for name in ("values", "keys", "types", "metadata")})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, its metadata is not what it should be") from error
    if version > FORMAT:
        by = header.get("version", "of unknown version")
        raise CheckpointError(f"{path}: format {version}, by jaxdict {by}; this one reads up to {FORMAT}: update it")
    return header


def _verified(path: Path) -> _Content:
    """Everything in ``path``, its digest checked."""
    safetensors = _safetensors()
    with _opened(path) as file:
        fields = _raw_header(path, file)
        header = _our_header(path, fields)
        file.seek(0)
        content = file.read()
    try:
        tensors = safetensors.deserialize(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: not a valid safetensors file: {error}") from error
    ours = header or {"types": {}, "keys": {}, "values": {}}
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in tensors:
        dtype = {**_NATIVE, **_FOREIGN}.get(tensor["dtype"])
        if dtype is None:
            raise CheckpointError(f"{path}: {name!r} has the type {tensor['dtype']}, which jax does not know")
        arrays[name] = np.frombuffer(tensor["data"], jnp.dtype(dtype)).reshape(tensor["shape"])
    if header is not None and _digest(fields["__metadata__"][_KEY], arrays) != fields["__metadata__"].get("digest"):
        raise CheckpointError(f"{path}: damaged, its digest is not that of its content")
    for name, dtype in ours["types"].items():
        arrays[name] = arrays[name].view(jnp.dtype(dtype))[..., 0]
    leaves = {name: _Leaf("tensor", array.dtype.name, array.shape) for name, array in arrays.items()}
    for name, implementation in ours["keys"].items():
        leaves[name] = _Leaf("key", implementation, arrays[name].shape[:-1])
    for name, value in ours["values"].items():
        leaves[name] = _Leaf("value", type(value).__name__)
    return _Content(arrays, leaves, header)


def _build(path: Path, content: _Content, like: Any) -> Any:
    if like is None:
        return _nested(path, content)
    wanted = _named(like)
    _compare(path, _described(wanted), content.leaves)
    leaves = [_decode(name, content, as_numpy=isinstance(leaf, np.ndarray)) for name, leaf in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def compare(where: str, tree: Any, like: Any) -> None:
    """A CheckpointError with the first difference of ``tree``, called ``where``, to ``like``, as `read` raises it.

    Args:
      where: what the message calls the tree.
      tree, like: trees as `save` takes them, or with ``jax.ShapeDtypeStruct``.
    """
    _compare(where, _described(_named(like)), _described(_named(tree)))


def _described(leaves: Mapping[str, Any]) -> dict[str, _Leaf]:
    return {name: _describe(name, leaf) for name, leaf in leaves.items()}


def _compare(path: Path | str, wanted: Mapping[str, _Leaf], found: Mapping[str, _Leaf]) -> None:
    """A CheckpointError with the first difference, in the order of the expected tree."""
    for name, want in wanted.items():
        have = found.get(name)
        if have is None:
            close = _check.closest(name, [other for other in found if other not in wanted], 1)
            hint = f"; there is {close[0]!r}, {found[close[0]]}" if close else ""
            raise CheckpointError(f"{path}: {name!r} is missing, {want} expected{hint}")
        if have.kind == want.kind == "tensor" and have.shape != want.shape:
            raise CheckpointError(f"{path}: {name!r} has shape {have.shape}, {want.shape} expected")
        if have.kind == want.kind == "tensor" and have.dtype != want.dtype:
            raise CheckpointError(f"{path}: {name!r} has type {have.dtype}, {want.dtype} expected")
        if have != want:
            raise CheckpointError(f"{path}: {name!r} is {have}, {want} expected")
    for name, have in found.items():
        if name not in wanted:
            raise CheckpointError(f"{path}: there is {name!r}, {have}, which is not expected")


def _nested(path: Path, content: _Content) -> Any:
    """Dicts within dicts by the parts of the names; the leaf itself when the tree was one leaf."""
    if set(content.leaves) == {""}:
        return _decode("", content)
    root: dict[str, Any] = {}
    for name in content.leaves:
        node, (*folders, last) = root, name.split("/")
        for folder in folders:
            node = node.setdefault(folder, {}) if isinstance(node, dict) else node
        if not isinstance(node, dict) or last in node:
            raise CheckpointError(f"{path}: {name!r} collides with another name; load it with like")
        node[last] = _decode(name, content)
    return root


# --- numbered files in a folder ---------------------------------------------------------------------------------------

_NUMBERED = re.compile(r"checkpoint-(\d+)\.safetensors")


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """The numbers and paths of a folder's checkpoints, newest first."""
    found = ((_NUMBERED.fullmatch(path.name), path) for path in (folder.iterdir() if folder.is_dir() else ()))
    return sorted(((int(match[1]), path) for match, path in found if match), reverse=True)


def latest(folder: str | os.PathLike[str]) -> Path | None:
    """The checkpoint of the highest number in ``folder`` that is whole; None when there is none.

    Every file is verified before it is chosen; a damaged one is passed over with a warning that says why.
    """
    for _, path in _numbered(Path(folder)):
        try:
            if _verified(path).header is not None:
                return path
            reason = f"{path}: not a jaxdict checkpoint"
        except CheckpointError as error:
            reason = str(error)
        warnings.warn(f"passed over a damaged checkpoint: {reason}", RuntimeWarning, stacklevel=2)
    return None


def save_numbered(
    folder: str | os.PathLike[str],
    number: int,
    tree: Any,
    *,
    metadata: Mapping[str, Any] | None = None,
    keep: int | None = 3,
) -> Path:
    """Write ``folder/checkpoint-00000012.safetensors``; once it is safe, remove the oldest beyond ``keep``.

    Args:
      folder: made when missing; one process writes it at a time.
      number: say of the epoch, >= 0.
      tree: see `save`.
      metadata: see `save`.
      keep: how many stay, this one and those of lower numbers; None keeps all. Higher numbers are left alone.

    Returns:
      The path.

    Raises:
      TypeError, ValueError: a number or keep that is not whole or too low; and what `save` raises.
    """
    folder, number = Path(folder), _check.integer("number", number, low=0)
    keep = None if keep is None else _check.integer("keep", keep, low=1)
    path = save(folder / f"checkpoint-{number:08d}.safetensors", tree, metadata=metadata)
    _clean(folder, "checkpoint-*.safetensors")
    if keep is not None:
        for _, old in [each for each in _numbered(folder) if each[0] < number][keep - 1 :]:
            old.unlink(missing_ok=True)
    return path


# --- arrays that are spread over devices, in a folder by orbax --------------------------------------------------------


def save_sharded(folder: str | os.PathLike[str], tree: Any) -> Path:
    """Write ``tree`` as its arrays lie, by orbax: each device's part once, by the process that has it.

    All processes call it, with a folder that all of them reach; `save` is for what one process holds as a whole.

    Args:
      folder: to be made; it appears once it is whole.
      tree: of arrays, PRNG keys and Python numbers.

    Returns:
      The path.

    Raises:
      CheckpointError: the folder is there already, or cannot be written. TypeError: another kind of leaf.
      ModuleNotFoundError: orbax is missing.
    """
    folder = Path(folder).absolute()
    if folder.exists():
        raise CheckpointError(f"{folder} is there already; give each checkpoint a folder of its own")
    for name, leaf in _named(tree).items():
        if _describe(name, leaf).dtype == "str":
            raise TypeError(f"a sharded checkpoint holds arrays, PRNG keys and numbers; got a str at {name!r}")
    with _orbax(folder) as orbax:
        orbax.save(folder, tree)
        orbax.wait_until_finished()
    return folder


def load_sharded(folder: str | os.PathLike[str], like: Any) -> Any:
    """The tree that `save_sharded` wrote, spread over devices as ``like`` is, however it was spread before.

    Args:
      folder: of `save_sharded`. All processes call it.
      like: a tree of the same structure: arrays that lie where those to be read shall, ``jax.ShapeDtypeStruct`` with a
        ``sharding``, or Python values.

    Returns:
      The tree.

    Raises:
      CheckpointError: no such folder, a broken one; or the first difference to ``like``: a leaf missing, one too many,
        another shape or type.
      ModuleNotFoundError: orbax is missing.
    """
    folder = Path(folder).absolute()
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    with _orbax(folder) as orbax:
        metadata = orbax.metadata(folder).item_metadata
        if metadata is None:
            raise CheckpointError(f"{folder}: holds no whole sharded checkpoint")
        held = jax.tree_util.tree_leaves_with_path(metadata.tree)
        found = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in held}
        _compare(
            folder,
            _described(_named(jax.tree.map(_as_array, like))),
            {name: _Leaf("tensor", np.dtype(leaf.dtype).name, tuple(leaf.shape)) for name, leaf in found.items()},
        )  # where orbax would cut, fill up and convert
        return orbax.restore(folder, like)


def _as_array(leaf: Any) -> Any:
    """The shape and type that orbax keeps ``leaf`` in."""
    if _is_key(leaf):
        return jax.eval_shape(jax.random.key_data, leaf)
    return leaf if hasattr(leaf, "dtype") else np.asarray(leaf)


@contextlib.contextmanager
def _orbax(folder: Path) -> Iterator[Any]:
    """Orbax's checkpointer, whose errors name the folder."""
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("sharded checkpoints need orbax; pip install 'jaxdict[scale]'") from error
    try:
        with orbax.checkpoint.StandardCheckpointer() as checkpointer:
            yield checkpointer
    except CheckpointError:
        raise
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise CheckpointError(f"{folder}: {error}") from error


__all__ = [
    "FORMAT", "CheckpointError", "compare", "latest", "load", "load_sharded", "read", "read_metadata", "save",
    "save_numbered", "save_sharded",
]  # fmt: skip
