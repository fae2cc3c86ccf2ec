"""What enters training: targets that must suit the loss, and batches from outside, stacked for one program."""

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxdict import _check
from jaxdict import data as data_room
from jaxdict.layers import Model
from jaxdict.models._parts import renamed
from jaxdict.train.outputs import OutputLosses
from jaxdict.train.step import Batch

CHUNK_BATCHES = 16
CHUNK_BYTES = 64 * 2**20


class Source:
    """Something that can be gone through once an epoch, one batch ``(inputs, targets[, weights])`` at a time."""

    def __init__(self, make: Callable[[], Iterable[Any]]):
        self.input_shape: Any = None  # of one example; set from the first batch
        self.fits: Callable[[Any, str], Any] = lambda targets, name: targets  # what the targets must suit
        self._make = make
        self._first: list[Any] = []
        self._rest: Iterator[Any] | None = None
        self._epochs = 0

    def peek(self) -> tuple[Any, ...]:
        """The first batch of the next epoch, without using it up; ValueError when there is none."""
        if not self._first:
            self._rest = iter(self._make())
            try:
                self._first = [_batch(next(self._rest))]
            except StopIteration:
                if self._epochs:
                    raise ValueError(
                        f"the batches ran out after {self._epochs} epoch(s): give a function that makes a new iterator"
                    ) from None
                raise ValueError("the data holds no batch") from None
        return self._first[0]

    def chunks(self) -> Iterator[Batch]:
        """One epoch: batches of equal shapes stacked on a new first axis, CHUNK_BATCHES at a time, the rest alone.

        Each batch is checked where it enters; an error names its number.
        """
        self.peek()
        assert self._rest is not None
        batches = itertools.chain(self._first, map(_batch, self._rest))
        self._first, self._rest = [], None
        waiting: list[Batch] = []
        for number, parts in enumerate(batches, 1):
            batch = self._checked(parts, number)
            if waiting and _shapes(batch) != _shapes(waiting[0]):
                yield from map(_stack, ([one] for one in waiting))
                waiting = []
            waiting.append(batch)
            size = sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
            if len(waiting) == max(1, min(CHUNK_BATCHES, CHUNK_BYTES // max(1, size))):
                yield _stack(waiting)
                waiting = []
        yield from map(_stack, ([one] for one in waiting))
        self._epochs += 1

    def _checked(self, parts: tuple[Any, ...], number: int) -> Batch:
        inputs, targets = data_room.check(parts[0], parts[1], name=f"batch {number}")
        if self.input_shape is not None and shape_of(inputs) != self.input_shape:
            raise ValueError(
                f"batch {number} holds examples of shape {shape_of(inputs)}, the first batch {self.input_shape}"
            )
        weights: Any = None if len(parts) == 2 else np.asarray(parts[2], np.float32)
        count = jax.tree.leaves(inputs)[0].shape[0]
        if weights is not None:
            wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
            if weights.shape != (count,) or wrong.size:
                raise ValueError(
                    f"the weights of batch {number} must be finite and >= 0, one an example, shape ({count},); got "
                    f"{wrong[0] if weights.shape == (count,) else weights.shape}"
                )
        return Batch(inputs, self.fits(targets, f"batch {number}"), weights)


def source(data: Any) -> Source:
    """``data`` as a Source; TypeError when it is neither iterable nor a function."""
    if hasattr(data, "__iter__"):
        return Source(lambda: data)
    if callable(data):
        make: Any = data
        return Source(make)
    raise TypeError(
        f"data must be (inputs, targets), a Dataset, an iterable of batches or a function that makes one; "
        f"got {type(data).__name__}"
    )


def _batch(parts: Any) -> tuple[Any, ...]:
    if not isinstance(parts, (tuple, list)) or len(parts) not in (2, 3):
        raise ValueError(f"a batch must be (inputs, targets) or (inputs, targets, weights); got {type(parts).__name__}")
    return tuple(parts)


def _shapes(batch: Batch) -> Any:
    return jax.tree.structure(batch), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(batch)]


def _stack(batches: list[Batch]) -> Batch:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *batches)


class Fit:
    """Checks that targets suit the loss and the model's outputs, before anything is compiled.

    A vector of targets beside a column of outputs is that column: ``(n,)`` is taken as ``(n, 1)``. Where there is a
    loss for each output, targets are a dict by output, and each suits its own.
    """

    def __init__(self, loss: Callable, outputs: Any):
        self.loss, self.outputs = loss, outputs
        if isinstance(loss, OutputLosses):
            self.parts = {name: Fit(one, _output(outputs, name)) for name, one in loss.losses}
            self.classes = None
            return
        self.parts = {}
        name = _parameter_names(loss)[:2]
        shaped = hasattr(outputs, "shape")
        self.by_label = shaped and "labels" in name
        self.column = shaped and not self.by_label and outputs.shape[1:] == (1,)
        self.classes = outputs.shape[-1] if self.by_label else None
        self.unit_interval = "logits" in name and self.column

    def __call__(self, targets: Any, name: str) -> Any:
        if self.parts:
            return self._each(targets, name)
        if self.column and hasattr(targets, "shape") and targets.ndim == 1:
            targets = targets[:, None]
        if self.by_label or self.unit_interval:
            task = "binary" if self.unit_interval else None
            _, targets = data_room.check(None, targets, task=task, classes=self.classes, name=name)
        try:
            values = jax.eval_shape(self.loss, self.outputs, one_of(targets))
        except (TypeError, ValueError) as error:
            hint = "; of several outputs, give loss as a dict by output" if isinstance(self.outputs, Mapping) else ""
            raise renamed(error, f"the loss does not fit the model and the targets of {name}{hint}") from None
        if values.ndim == 0 or values.shape[0] != 1:
            label = getattr(self.loss, "__name__", "the loss")
            raise ValueError(f"{label} must give one value an example, shape (batch,); got {values.shape} for {name}")
        return targets

    def _each(self, targets: Any, name: str) -> dict[str, Any]:
        if not isinstance(targets, Mapping):
            known = ", ".join(map(repr, self.parts))
            raise ValueError(f"the targets of {name} must be a dict by output, {known}; got {type(targets).__name__}")
        for output in targets:
            if output not in self.outputs:
                hint = _check.did_you_mean(str(output), self.outputs)
                raise ValueError(f"the targets of {name} hold {output!r}, which is no output; {hint}")
        for output in self.parts:
            if output not in targets:
                hint = _check.did_you_mean(output, targets)
                raise ValueError(f"the targets of {name} hold none for the output {output!r}; {hint}")
        fitting = {output: fit(targets[output], f"{name}, output {output!r}") for output, fit in self.parts.items()}
        return {**targets, **fitting}


def _output(outputs: Any, name: str) -> Any:
    """The output that a loss is for."""
    if not isinstance(outputs, Mapping):
        raise ValueError(f"a loss is given for the output {name!r}, but the model's output is no dict")
    if name not in outputs:
        raise ValueError(f"a loss is given for {name!r}, which is no output; {_check.did_you_mean(name, outputs)}")
    return outputs[name]


def one_of(tree: Any) -> Any:
    """The shapes and types of a batch of one example."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape[1:]), jax.dtypes.canonicalize_dtype(x.dtype)), tree)


def outputs_of(model: Model, example: Any) -> Any:
    """The shapes and types that ``model`` gives for a batch like ``example``; nothing is computed."""
    leaves, tree = jax.tree.flatten(example)
    return _outputs_of(model, tree, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


@functools.lru_cache(maxsize=256)
def _outputs_of(model: Model, tree: Any, leaves: tuple) -> Any:
    example = jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in leaves])

    def forward(key, inputs):
        params, state, _ = model.init(key, shape_of(inputs))
        return model.apply(params, state, inputs, key=key, train=False)[0]

    return jax.eval_shape(forward, jax.random.key(0), example)


def is_shape(tree: Any) -> bool:
    """Whether ``tree`` is a shape, rather than a tree of shapes."""
    return isinstance(tree, tuple) and all(isinstance(length, int) for length in tree)


def shape_of(inputs: Any) -> Any:
    """The shape of one example: a tuple, or a tree of them."""
    if hasattr(inputs, "shape"):
        return tuple(inputs.shape[1:])
    return jax.tree.map(lambda x: tuple(x.shape[1:]), inputs)


def _parameter_names(function: Callable) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
