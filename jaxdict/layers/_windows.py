"""Where a window goes over the axes of space: strides, padding, dilation, and the lengths that come out.

Arrays are channels-last, ``(batch, *space, channels)``. Padding is a word, a number for both ends of every axis, or for
each axis a number or a pair ``(low, high)``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxdict import _check

Pairs = tuple[tuple[int, int], ...]
_AXES = {1: "(length, channels)", 2: "(height, width, channels)", 3: "(depth, height, width, channels)"}


class Windows(NamedTuple):
    """A window and how it moves, one number for each axis of space; padding a word or pairs."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str | Pairs
    dilation: tuple[int, ...]

    @property
    def rank(self) -> int:
        """The number of axes of space."""
        return len(self.sizes)

    @property
    def spans(self) -> tuple[int, ...]:
        """How far each axis of the window reaches."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.sizes, self.dilation, strict=True))

    def pairs(self, lengths: Sequence[int]) -> Pairs:
        """What is added before and behind each axis of so many places."""
        if isinstance(self.padding, tuple):
            return self.padding
        if self.padding == "valid":
            return ((0, 0),) * self.rank
        if self.padding == "causal":
            return tuple((span - 1, 0) for span in self.spans)
        missing = (
            max((-(-n // stride) - 1) * stride + span - n, 0)
            for n, stride, span in zip(lengths, self.strides, self.spans, strict=True)
        )
        return tuple((total // 2, total - total // 2) for total in missing)

    def results(self, label: str, input_shape: Sequence[int]) -> tuple[int, ...]:
        """The lengths that come out for examples of ``input_shape``; a ValueError where the window does not fit."""
        lengths = spatial(label, input_shape, self.rank)
        padded = [n + low + high for n, (low, high) in zip(lengths, self.pairs(lengths), strict=True)]
        if any(n < span for n, span in zip(padded, self.spans, strict=True)):
            raise ValueError(
                f"{label} needs {self.spans} places or more, padding included; got an input of shape "
                f"{tuple(input_shape)}"
            )
        return tuple((n - span) // stride + 1 for n, span, stride in zip(padded, self.spans, self.strides, strict=True))


def windows(
    sizes: Any, strides: Any, padding: Any, dilation: Any, *, name: str, words: Sequence[str], least: int | None = 0
) -> Windows:
    """The arguments of a layer, checked: ``sizes`` says how many axes there are, and an int is one of them.

    Padding is one of ``words`` or numbers, at least ``least``.
    """
    sizes = tuple(_check.integer(name, k, low=1) for k in (sizes if isinstance(sizes, (tuple, list)) else (sizes,)))
    if not sizes:
        raise ValueError(f"{name} must have a size for each axis of space; got none")
    rank = len(sizes)
    return Windows(
        sizes, each("strides", strides, rank), _padding(padding, rank, words, least), each("dilation", dilation, rank)
    )


def each(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """``value`` for each axis: one number for all, or as many as there are axes."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(values) != rank:
        raise ValueError(f"{name} must be a number or {rank} of them, one for each axis of space; got {value!r}")
    return tuple(_check.integer(name, v, low=1) for v in values)


def _padding(value: Any, rank: int, words: Sequence[str], least: int | None) -> str | Pairs:
    if isinstance(value, str):
        _check.one_of("padding", value, words)
        if value == "causal" and rank > 1:
            raise ValueError(f"padding 'causal' is for one axis of space; the kernel has {rank}")
        return value
    ends = tuple(value) if isinstance(value, (tuple, list)) else (value,) * rank
    if len(ends) != rank:
        raise ValueError(f"padding must be a word, a number, or {rank} numbers or pairs (low, high); got {value!r}")
    pairs = [tuple(end) if isinstance(end, (tuple, list)) else (end, end) for end in ends]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"padding must have pairs (low, high); got {value!r}")
    low, high = ([_check.integer("padding", pair[end], low=least) for pair in pairs] for end in (0, 1))
    return tuple(zip(low, high, strict=True))


def spatial(label: str, input_shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """The lengths of the axes of space of one example; a ValueError where it has other axes."""
    if len(input_shape) != rank + 1:
        hint = "; add a channel by reshape" if len(input_shape) == rank else ""
        raise ValueError(f"{label} takes {axes(rank)}; got the input shape {tuple(input_shape)}{hint}")
    return tuple(input_shape[:-1])


def axes(rank: int) -> str:
    """The axes of one example, in words."""
    return _AXES.get(rank, f"({rank} axes of space, channels)")
