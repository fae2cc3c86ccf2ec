"""Batches from arrays that do not fit into memory: read in contiguous pieces, shuffled anew each epoch."""

import hashlib
import mmap
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxdict import _check
from jaxdict.data.checks import count_examples, fingerprint

_PIECE = 2**20  # bytes that are read at once: long enough for a disk, short enough that a window holds many
_PIECES = 16  # that a window holds at least, so that neighbours in the file are not neighbours in an epoch
_SEEN = 64  # examples that the fingerprint is of


def stream(
    inputs: Any, targets: Any, *, batch_size: int, key: Any, weights: Any = None, memory: int = 256 * 2**20
) -> "Stream":
    """Batches for ``fit`` from arrays larger than memory, such as ``np.load(path, mmap_mode="r")`` gives.

    An epoch takes *pieces*, runs of neighbouring examples of 1 MiB or so, in random order; as many as ``memory`` holds
    are a *window*, whose examples are shuffled together. Arrays that fit into one window are shuffled through and
    through; of larger ones, two examples of one piece are always in one window. The order depends on the key and the
    epoch's number alone, so that a resumed run sees the batches that it would have seen.

    Args:
      inputs, targets: trees of arrays ``(n, …)``, or of what has a shape and a dtype and gives rows by a slice.
        (NumPy maps ``.npy`` files, not ``.npz``.)
      batch_size: of the batches; the last of an epoch may be smaller.
      key: a PRNG key or an int seed, of the order.
      weights: ``(n,)``, of the examples in the loss; None weighs all alike.
      memory: the bytes of a window, about: what is held at a time beside two batches.

    Returns:
      The Stream, for ``fit``'s ``data``.

    Raises:
      TypeError, ValueError: lengths that differ, no examples, an argument out of range. What is in the arrays is
        checked batch by batch, as ``fit`` reads it.
    """
    return Stream(inputs, targets, weights, batch_size, key, memory)


class Stream:
    """Calls give an epoch's batches: ``stream(epoch)`` iterates over ``(inputs, targets[, weights])``.

    Attributes:
      batch_size: examples of a batch.
      count: examples in all.
      piece: examples that are read at once.
      window: pieces whose examples are shuffled together.
    """

    def __init__(self, inputs: Any, targets: Any, weights: Any, batch_size: int, key: Any, memory: int):
        self.batch_size = _check.integer("batch_size", batch_size, low=1)
        _check.integer("memory", memory, low=1)
        arrays = (inputs, targets) if weights is None else (inputs, targets, weights)
        leaves, self._tree = jax.tree.flatten(arrays)
        self._leaves = [np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf for leaf in leaves]
        for leaf in self._leaves:
            if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype") and hasattr(leaf, "__getitem__")):
                raise TypeError(f"a stream is of arrays, with a shape and a dtype; got {type(leaf).__name__}")
        self.count = count_examples(inputs, arrays[1:], name="the stream")
        self._seed = np.asarray(jax.random.key_data(_check.prng_key(key))).tolist()
        each = max(1, sum(np.dtype(leaf.dtype).itemsize * int(np.prod(leaf.shape[1:])) for leaf in self._leaves))
        self.piece = max(1, min(_PIECE, memory // _PIECES) // each)
        self.window = max(1, memory // (self.piece * each))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return -(-self.count // self.batch_size)

    def __call__(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """The batches of the epoch of this number, from 0; they are arrays of their own, on the host."""
        rng = np.random.default_rng([*self._seed, _check.integer("epoch", epoch, low=0)])
        pieces = rng.permutation(-(-self.count // self.piece))
        left: list[np.ndarray] | None = None
        for first in range(0, len(pieces), self.window):
            chosen = np.sort(pieces[first : first + self.window])  # in the order of the file, for its disk
            window = self._read(chosen)
            order = rng.permutation(len(window[0]))
            start = 0
            if left is not None:  # what the window before left is filled up to a batch
                start = min(self.batch_size - len(left[0]), len(order))
                left = [np.concatenate([old, new[order[:start]]]) for old, new in zip(left, window, strict=True)]
                if len(left[0]) < self.batch_size:
                    continue
                yield self._batch(left)
            while start + self.batch_size <= len(order):
                yield self._batch([rows[order[start : start + self.batch_size]] for rows in window])
                start += self.batch_size
            left = [rows[order[start:]] for rows in window] if start < len(order) else None
            del window  # before the next is read
        if left is not None:
            yield self._batch(left)

    def _batch(self, leaves: list[np.ndarray]) -> tuple[Any, ...]:
        return jax.tree.unflatten(self._tree, leaves)

    def _read(self, pieces: np.ndarray) -> list[np.ndarray]:
        """The examples of some pieces, copied into memory."""
        starts = pieces * self.piece
        stops = np.minimum(starts + self.piece, self.count)
        ends = np.cumsum(stops - starts)
        window = [np.empty((ends[-1], *leaf.shape[1:]), leaf.dtype) for leaf in self._leaves]
        for leaf, rows in zip(self._leaves, window, strict=True):
            for start, stop, end in zip(starts, stops, ends, strict=True):
                rows[end - (stop - start) : end] = leaf[start:stop]
                _release(leaf)
        return window

    def fingerprint(self) -> str:
        """A digest of shapes, types, order and some examples spread over the arrays; the rest is not read for it."""
        seen = np.unique(np.linspace(0, self.count - 1, _SEEN).astype(int))
        rows = [np.concatenate([leaf[i : i + 1] for i in seen]) for leaf in self._leaves]
        shapes = [(tuple(leaf.shape), np.dtype(leaf.dtype).name) for leaf in self._leaves]
        what = (shapes, self._seed, self.batch_size, self.piece, self.window, fingerprint(rows))
        return hashlib.blake2b(repr(what).encode(), digest_size=16).hexdigest()

    def __repr__(self) -> str:
        shape = (self.count, *self._leaves[0].shape[1:])
        return f"Stream({shape}, batches of {self.batch_size}, windows of {self.window} × {self.piece} examples)"


def _release(array: Any) -> None:
    """Give back the memory of a mapped file's pages, which would else count as this process's until it ends."""
    while array is not None and not isinstance(array, mmap.mmap):
        if getattr(array, "mode", None) == "c":  # its changes are in these pages alone
            return
        array = getattr(array, "base", None)
    if array is not None and hasattr(mmap, "MADV_DONTNEED"):
        array.madvise(mmap.MADV_DONTNEED)
