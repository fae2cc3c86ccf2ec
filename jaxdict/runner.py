"""The host loop: ``fit`` runs compiled segments, calls callbacks between them, and returns a ``Run``."""

import contextlib
import copy
import dataclasses
import functools
import hashlib
import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from jaxdict import _check, _registry
from jaxdict import data as data_room
from jaxdict._cache import constructor
from jaxdict.data.streaming import Stream
from jaxdict.intake import Fit, is_shape, one_of, outputs_of, shape_of, source
from jaxdict.layers import Model
from jaxdict.losses import weights_of
from jaxdict.models import as_model
from jaxdict.run import Run, load_run, restore
from jaxdict.train import observers as observers_room
from jaxdict.train.outputs import resolve_loss, weights_as_data
from jaxdict.train.segment import CAPACITY, RUNNING, Carry, Data, Keys, Plan, Program, bind, count_of, matching, program
from jaxdict.train.step import PRECISIONS, Batch, fill, resolve_optimizer, streams_of

__all__ = ["Run", "fit", "load_run"]

SEGMENT_SECONDS = 0.25  # how long a segment should last: long beside the host's work, short to a waiting person
_GO, _STOP, _INTERRUPT, _FAIL = range(4)  # what is wished between two segments


def fit(
    model: Any,
    loss: Any,
    optimizer: Any,
    data: Any,
    *,
    key: Any,
    epochs: int,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Any = None,
    penalty: Callable[..., jax.Array] | None = None,
    augment: Callable[[jax.Array, Any], Any] | None = None,
    sample_weight: Any = None,
    class_weight: Any = None,
    weight_normalization: str = "count",
    loss_weights: Mapping[str, Any] | None = None,
    observers: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
    hyperparameters: Mapping[str, Any] | None = None,
    params: Any = None,
    state: Any = None,
    resume: Any = None,
    segment_epochs: int | None = None,
    precision: str | None = None,
    accumulation: int = 1,
    device: Any = None,
) -> Run:
    """Train ``model``: one compiled program that runs many epochs between two looks of the host.

    Args:
      model: a Model, an ``(init, apply)`` pair, or a function of hyperparameters that gives one.
      loss: a name, or ``(predictions, targets) -> (batch, …)`` values; of several outputs a dict of such by output, and
        targets are a dict too. Each is a column, ``loss_main``; ``loss_weights``, numbers by output, weigh their sum.
      optimizer: an optax transformation, a name, or a function of hyperparameters that gives one.
      data: ``(inputs, targets)`` arrays or trees of arrays ``(n, …)``, a Dataset, or batches: an iterable that can be
        iterated once an epoch, or a function that gives an iterator; one that takes ``epoch`` is given its number, from
        0, such as ``data.stream`` of arrays beyond memory.
      key: a PRNG key or an int seed. epochs: in all, >= 1. batch_size: the last, smaller batch counts by its examples.
      validation: ``(inputs, targets)``, or a fraction to hold out (stratified by integer labels, by the key).
      metrics: names or functions, one, a sequence or a dict by column name; of several outputs, a dict of these by
        output: ``{"main": ["accuracy"]}`` is the column ``main_accuracy``.
      penalty: ``params -> scalar``, added to the loss. augment: ``(key, inputs) -> inputs``, on training batches.
      sample_weight: ``(n,)``; class_weight: ``(classes,)`` or a dict by label, where there is one output;
        weight_normalization: "count" divides the weighted loss of a batch by its examples, "weights" by their weights.
      observers: carried inside the run, such as ``observers.early_stopping()``. callbacks: called between segments.
      hyperparameters: numbers by name, given as data to every function above that takes an argument of that name.
      params, state: where to start, instead of the model's init. resume: a checkpoint, its folder, or a Run.
      segment_epochs: epochs between two calls of the callbacks; chosen by time when None.
      precision: "bfloat16" computes in it, parameters stay float32. accumulation: micro-batches per step.
      device: where to run; jax's default when None. Several share each batch out, and batch_size is a multiple of their
        number: the same run to rounding. Over processes, ``jax.devices()``: each gives the same arguments and all of
        the data, and has the run in the end; callbacks are called by the first process, the one that writes files.

    Returns:
      The Run: parameters, history, best epoch, result ("done", "stopped", "diverged" or "interrupted").

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, before anything is run or written.
    """
    with on(device):
        return Job(locals()).run()


def on(device: Any) -> contextlib.AbstractContextManager[Any]:
    """Where what has no place of its own goes: to ``device``, where it is one."""
    one = device is not None and not isinstance(device, (list, tuple, np.ndarray))
    return jax.default_device(device) if one else contextlib.nullcontext()


class Job:
    """A run being made: arguments checked and resolved, then segment after segment."""

    def __init__(self, a: dict[str, Any]):
        self.epochs = _check.integer("epochs", a["epochs"], low=1)
        _check.integer("batch_size", a["batch_size"], low=1)
        self.segment_epochs = a["segment_epochs"]
        if self.segment_epochs is not None:
            _check.integer("segment_epochs", self.segment_epochs, low=1)
        self.key = _check.prng_key(a["key"])
        self.keys = Keys.of(self.key)
        self.hyperparameters = _as_data(weights_as_data(a["hyperparameters"], a.get("loss_weights"), a["loss"]))
        self.callbacks = [_callback(c) for c in a["callbacks"]]
        model = intern(a["model"]) if is_builder(a["model"]) else as_model(a["model"])
        optimizer = intern(_registry.function(a["optimizer"], "optimizer"))
        loss = resolve_loss(a["loss"], each=intern)
        penalty = intern(a["penalty"])
        plain = {name: v.item() for name, v in self.hyperparameters.items()}
        _all_used(plain, model, optimizer, loss, penalty)
        # Built once with the numbers themselves, so that values out of range are an error here.
        with named(a.get("name")):
            self.model: Model = model if isinstance(model, Model) else as_model(model(**matching(model, plain)))
            if not hasattr(optimizer, "update"):
                made = resolve_optimizer(optimizer, **matching(optimizer, plain))
                optimizer = optimizer if matching(optimizer, plain) else made
        mesh = _mesh(a.get("device"))
        self._everywhere = None if mesh is None else NamedSharding(mesh, PartitionSpec())
        self._together = mesh is not None and mesh.is_multi_process
        if self._together and jax.process_index():
            self.callbacks = []
        batch_size = self._enter(a, fill(loss, plain, skip=2))
        if mesh is not None and batch_size % mesh.size:
            raise ValueError(f"batch_size must be a multiple of the devices' number; got {batch_size} and {mesh.size}")
        streams = streams_of(a["metrics"], loss=loss, outputs=self.fits.outputs)
        chosen = tuple(a["observers"])
        if not any(o.monitor and o.scale is None for o in chosen):  # what scales keeps no parameters
            chosen = (observers_room.best(), *chosen)
        self.plan = Plan(
            model=model, loss=loss, optimizer=optimizer, penalty=penalty, augment=a["augment"],
            streams=tuple(streams.items()), observers=chosen, batch_size=batch_size,
            by_count=_check.one_of("weight_normalization", a["weight_normalization"], ["count", "weights"]) == "count",
            precision=_check.one_of("precision", a["precision"], [None, *PRECISIONS]),
            accumulation=_check.integer("accumulation", a["accumulation"], low=1),
            masked_tail=not self.model.mixes_examples, mesh=mesh,
        )  # fmt: skip
        if batch_size % self.plan.accumulation:
            raise ValueError(f"accumulation must divide batch_size; got {self.plan.accumulation} and {batch_size}")
        self.program: Program = program(self.plan)
        self.initial = (a["params"], a["state"] if a["params"] is None or a["state"] is not None else {})
        self.resume = a["resume"]
        columns = list(self.shapes().rows)
        for observer in chosen:
            if observer.monitor not in (None, "auto", *columns):
                hint = "" if self.validation is not None else " (there is no validation data)"
                raise ValueError(
                    f"an observer monitors {observer.monitor!r}{hint}; {_check.did_you_mean(observer.monitor, columns)}"
                )

    # ---------------------------------------------------------------------------------------- what comes in

    def _enter(self, a: dict[str, Any], loss: Callable) -> int:
        """Check the data where it enters: shapes and lengths, labels, NaN; split; put it on the device.

        Returns the examples of a batch, which batches from outside say themselves.
        """
        given, weights, validation = pair(a["data"]), a["sample_weight"], a["validation"]
        fraction = validation if isinstance(validation, (int, float)) and not isinstance(validation, bool) else None
        self.source, self._fingerprint, self.data, self.steps_per_epoch = None, None, None, None
        if isinstance(given, tuple) and len(given) in (2, 3):
            if len(given) == 3:
                if weights is not None:
                    raise ValueError("sample weights were given twice: in data and as sample_weight")
                weights = given[2]
            inputs, targets = data_room.check(given[0], given[1])
        else:
            if a["class_weight"] is not None or weights is not None:
                raise ValueError("with batches, give weights as each batch's third part: (inputs, targets, weights)")
            if fraction is not None:
                raise ValueError("with batches, validation must be (inputs, targets), not a fraction")
            self._make: Any = given
            self._by_epoch, self._source_epoch = _takes_epoch(given), 0
            self.source = source(functools.partial(self._make, epoch=0) if self._by_epoch else given)
            self._fingerprint = self._make.fingerprint() if hasattr(given, "fingerprint") else None
            self.steps_per_epoch = len(given) if isinstance(given, Stream) else None  # until an epoch has shown it
            inputs, targets = data_room.check(*self.source.peek()[:2], name="the first batch")
        self.example = one_of(inputs)
        self.input_shape = shape_of(inputs)
        leaves, tree = jax.tree.flatten(self.input_shape, is_leaf=is_shape)
        self._frozen_shape = (tree, tuple(leaves))
        outputs = outputs_of(self.model, self.example)
        self.fits = Fit(loss, outputs)
        targets = self.fits(targets, "data")
        if a["class_weight"] is not None and not hasattr(targets, "shape"):
            raise ValueError("class_weight is for one output; of several, weigh examples by sample_weight")
        if self.source is not None:
            self.source.fits, self.source.input_shape = self.fits, self.input_shape
            self._batch_of_one = Batch(self.example, one_of(targets))
        elif fraction is not None:
            labels = _labels(targets) if isinstance(targets, np.ndarray) and _is_labels(targets) else None
            keep, hold = data_room.split_indices(count_of(inputs), fraction, key=self.key, labels=labels)
            validation = jax.tree.map(lambda x: x[hold], (inputs, targets))
            inputs, targets = jax.tree.map(lambda x: x[keep], (inputs, targets))
            weights = None if weights is None else np.asarray(weights)[keep]
        self.validation = self._held_out(validation)
        if self.source is None:
            count = count_of(inputs)
            labels = _labels(targets)

            def weigh(weights: Any) -> Any:
                if weights is None and a["class_weight"] is None:
                    return None
                return weights_of(weights, a["class_weight"], labels, count, classes=self.fits.classes)

            self.weigh, weights = weigh, weigh(weights)
            self.steps_per_epoch = -(-count // min(a["batch_size"], count))
            self.data = self._put(Data(inputs, targets, weights, self.validation))
        return a["batch_size"] if self.source is None else count_of(inputs)

    def _held_out(self, validation: Any) -> Batch | None:
        if validation is None:
            return None
        validation = pair(validation)
        if not isinstance(validation, tuple) or len(validation) not in (2, 3):
            raise TypeError("validation must be (inputs, targets), (inputs, targets, weights) or a fraction")
        inputs, targets = data_room.check(validation[0], validation[1], name="validation")
        if shape_of(inputs) != self.input_shape:
            raise ValueError(
                f"validation examples have the shape {shape_of(inputs)}, training examples {self.input_shape}"
            )
        weights = weights_of(validation[2], None, None, count_of(inputs)) if len(validation) == 3 else None
        return self._put(Batch(inputs, self.fits(targets, "validation"), weights))

    def _put(self, data: Any) -> Any:
        """Data on every device of the run; over processes without comparing it, which `_same_everywhere` does."""
        where = self._everywhere
        if where is None or not self._together:
            return jax.device_put(data, where)

        def put(x: Any) -> jax.Array:
            if isinstance(x, jax.Array) and not x.is_fully_addressable:
                return x
            return jax.make_array_from_process_local_data(where, np.asarray(x), np.shape(x))

        return jax.tree.map(put, data)

    def _same_everywhere(self, run: Run, carry: Carry) -> None:
        """A ValueError where a process was given other data, or another key, batch size … than the first."""
        known = run.identity() | {
            "epochs": self.epochs, "segment_epochs": self.segment_epochs, "epoch": int(carry.epoch),
            "state": data_room.fingerprint((carry.train, carry.memories)),
            "validation": data_room.fingerprint(self.validation),
            "program": self._text(carry),
        }  # fmt: skip
        if self.source is not None:
            known["first batch"] = data_room.fingerprint(self.source.peek())
        digests = [hashlib.blake2b(repr(value).encode(), digest_size=8).digest() for value in known.values()]
        told = np.asarray(multihost_utils.process_allgather(np.array([list(digest) for digest in digests], np.uint8)))
        for process, theirs in enumerate(told):
            for name, one, first in zip(known, theirs, told[0], strict=True):
                if not np.array_equal(one, first):
                    raise ValueError(f"all processes must be given the same run; {name} of process {process} differs")

    def _text(self, carry: Carry) -> str:
        """The program of an epoch, in which is all that model, loss, optimizer and observers were given."""
        program, numbers, zero = self.program, self.hyperparameters, np.int32(0)
        if self.source is None:
            return program.segment.lower(carry, self.data, self.keys, numbers, zero).as_text()
        batches = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), self._batch_of_one)
        given = (carry.train, None, batches, self.keys.steps, zero, numbers, None)
        train, sums = program.chunk.eval_shape(*given)
        last = program.finish.lower(train, carry, sums, self.validation, zero, numbers)
        return program.chunk.lower(*given).as_text() + last.as_text()

    def shapes(self) -> Carry:
        """What a state looks like, without computing one."""
        params, state = self.initial
        return self.program.start.eval_shape(
            self.keys, self.hyperparameters, params, state,
            input_shape=self._frozen_shape, validated=self.validation is not None,
        )  # fmt: skip

    def fingerprint(self) -> str | None:
        """A digest of the data; None for batches from outside that have none: they are not looked at twice."""
        if self._fingerprint is None and self.data is not None:
            parts = tuple(self.data)
            self._fingerprint = data_room.fingerprint(parts if any(p is not None for p in parts[4:]) else parts[:4])
        return self._fingerprint

    def lane(
        self,
        key: jax.Array,
        hyperparameters: Mapping[str, Any],
        sample_weight: np.ndarray | None = None,
        indices: np.ndarray | None = None,
        held: np.ndarray | None = None,
        resume: Any = None,
    ) -> "Job":
        """The same run from another key, with numbers, weights and examples of its own; all else is shared."""
        other = copy.copy(self)
        other.resume = resume
        other.key, other.keys = key, Keys.of(key)
        other.hyperparameters = _as_data(hyperparameters)
        other.model = bind(self.plan, {name: v.item() for name, v in other.hyperparameters.items()}).model
        assert self.data is not None
        own: dict[str, Any] = {}
        if sample_weight is not None:
            own["weights"] = self.weigh(sample_weight)
        if indices is not None:
            own["indices"] = indices
            other.steps_per_epoch = -(-len(indices) // min(self.plan.batch_size, len(indices)))
        if held is not None:
            own |= {"held": held, "validation": None}
        if own:
            other.data, other._fingerprint = self.data._replace(**jax.device_put(own)), None
        return other

    # --------------------------------------------------------------------------------------------- the loop

    def start(self) -> Carry:
        """The state before the first epoch."""
        params, state = self.initial
        return self.program.start(
            self.keys, self.hyperparameters, params, state,
            input_shape=self._frozen_shape, validated=self.validation is not None,
        )  # fmt: skip

    def run(self) -> Run:
        began = time.perf_counter()
        run = Run(self)
        if self._together:
            run.plan = dataclasses.replace(self.plan, mesh=None)  # what it computes later, each process does alone
        with self._telling():
            if self.resume is not None:
                carry, run.history = restore(self.resume, self, self.shapes())
            else:
                carry = self.start()
        if self._together:
            self._agreed(0, _GO)
            self._same_everywhere(run, carry)
        if self._everywhere is not None:
            carry = jax.device_put(carry, self._everywhere)
        if self.source is None:
            # No epochs yet: this compiles, so that the seconds of the first epoch are its own.
            carry = self.segment(carry, int(carry.epoch))
        run.update(_own(carry))
        jax.block_until_ready(carry)
        run.compile_seconds = time.perf_counter() - began
        try:
            self._call("on_start", run)
            self._loop(run, carry)
        except BaseException:
            # The error that matters is this one, whatever a run that broke off cannot do any more.
            with contextlib.suppress(Exception):
                run.finish()
                self._end(run)
            raise
        run.finish()
        self._end(run)
        return run

    def _loop(self, run: Run, carry: Carry) -> None:
        """Segment after segment, with the callbacks between them."""
        length = self.segment_epochs or 1
        with Interrupt() as interrupt:
            while True:
                wish = _INTERRUPT if interrupt.asked else _STOP if run.stop_asked else _GO
                end, wish = self._agreed(self._boundary(run.epoch, min(length, CAPACITY)), wish)
                if wish != _GO or not run.running or run.epoch >= self.epochs:
                    break
                began = time.perf_counter()
                carry = self.segment(carry, end) if self.source is None else self._streamed(carry, interrupt)
                code = int(carry.code)  # waits for the segment
                seconds = time.perf_counter() - began
                done = int(carry.epoch) - run.epoch
                run.extend(_own(carry), seconds)
                if code == RUNNING and self.segment_epochs is None and done:
                    ideal = SEGMENT_SECONDS / (seconds / done)
                    length = int(max(1, min(ideal, 8 * length)))
                run.stop_asked = self._call("on_segment", run)
        run.stop_asked = wish == _STOP
        run.interrupted = wish == _INTERRUPT and run.running and run.epoch < self.epochs

    def _agreed(self, end: int, wish: int) -> tuple[int, int]:
        """Where the next segment ends and what is wished: of several processes, the first's end, the strongest wish."""
        if not self._together:
            return end, wish
        told = np.asarray(multihost_utils.process_allgather(np.array([end, wish], np.int32)))
        end, wish = int(told[0, 0]), int(told[:, 1].max())
        failed = np.flatnonzero(told[:, 1] == _FAIL)
        if failed.size and jax.process_index() not in failed:
            raise RuntimeError(f"process {failed[0]} failed; its error is there")
        return end, wish

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """Of several processes, the others are told of an error here, where they wait for this one."""
        try:
            yield
        except BaseException:
            self._agreed(0, _FAIL)
            raise

    def _end(self, run: Run) -> None:
        """Every callback is told of the end, even when one before it fails."""
        with contextlib.ExitStack() as stack:
            for callback in reversed(self.callbacks):
                if hasattr(callback, "on_end"):
                    stack.callback(callback.on_end, run)

    def segment(self, carry: Carry, end: int) -> Carry:
        """Epochs up to ``end``, by one call of the program, which takes the carry's memory."""
        assert self.data is not None
        return self.program.segment(carry, self.data, self.keys, self.hyperparameters, np.int32(end))

    def _boundary(self, epoch: int, length: int) -> int:
        """Where the next segment ends: no callback that wants to be called every so many epochs is run past."""
        end = min(epoch + length, self.epochs)
        for callback in self.callbacks:
            every = getattr(callback, "every", None)
            if every:
                end = min(end, (epoch // every + 1) * every)
        return end

    def _streamed(self, carry: Carry, interrupt: "Interrupt") -> Carry:
        """One epoch over batches that come from outside."""
        assert self.source is not None
        old, epoch = jax.tree.map(jnp.copy, carry.train), int(carry.epoch)
        if self._by_epoch and epoch != self._source_epoch:
            fits, shape = self.source.fits, self.source.input_shape
            self.source, self._source_epoch = source(functools.partial(self._make, epoch=epoch)), epoch
            self.source.fits, self.source.input_shape = fits, shape
        key = jax.random.fold_in(self.keys.steps, epoch)
        scale = observers_room.scale_of(self.plan.observers, carry.memories)
        train, sums, number = carry.train, None, 0
        for stacked in self.source.chunks():
            train, sums = self.program.chunk(train, sums, stacked, key, np.int32(number), self.hyperparameters, scale)
            number += count_of(stacked)
            if interrupt.asked and not self._together:
                # An epoch that was cut short is undone, so that what is kept ends at an epoch.
                return carry._replace(train=old)
        self.steps_per_epoch = number
        new = carry._replace(train=train)
        return self.program.finish(old, new, sums, self.validation, np.int32(0), self.hyperparameters)

    def _call(self, moment: str, run: Run) -> bool:
        with self._telling():
            answers = [getattr(c, moment)(run) for c in self.callbacks if hasattr(c, moment)]
        return any(a is True for a in answers)


class Interrupt:
    """The first Ctrl-C ends the run after its segment, the second raises at once. Only in the main thread."""

    asked = False

    def __enter__(self) -> "Interrupt":
        self.old = None
        if threading.current_thread() is threading.main_thread():
            self.old = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, signum, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *_) -> None:
        if self.old is not None:
            signal.signal(signal.SIGINT, self.old)


def _callback(callback: Any) -> Any:
    """An object with ``on_start``, ``on_segment`` or ``on_end``; a plain function is called after each segment."""
    moments = ("on_start", "on_segment", "on_end")
    if any(hasattr(callback, m) for m in moments):
        return callback
    if callable(callback):
        return _Segmentwise(callback)
    raise TypeError(f"a callback must be a function of the run or have one of {', '.join(moments)}; got {callback!r}")


class _Segmentwise:
    def __init__(self, function: Callable[[Run], Any]):
        self.on_segment = function


def pair(data: Any) -> Any:
    """A Dataset as ``(inputs, targets)``; anything else as it is."""
    return (data.inputs, data.targets) if hasattr(data, "inputs") and hasattr(data, "targets") else data


@contextlib.contextmanager
def named(what: str | None) -> Iterator[None]:
    """Errors say what they concern, such as a lane by its number."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if what is None:
            raise
        raise type(error)(f"{what}: {error}") from None


def _own(carry: Any) -> Any:
    """What this process has of a state that every device holds as a whole."""
    return jax.tree.map(lambda x: x if x.is_fully_addressable else x.addressable_data(0), carry)


def _takes_epoch(data: Any) -> bool:
    """Whether ``data`` is a function of the epoch's number."""
    return callable(data) and not hasattr(data, "__iter__") and "epoch" in inspect.signature(data).parameters


def _mesh(device: Any) -> jax.sharding.Mesh | None:
    """The devices that share batches out; None for one."""
    if not isinstance(device, (list, tuple, np.ndarray)):
        return None
    row = np.array(device, object)
    if row.ndim != 1 or not row.size or len(set(row)) < row.size:
        raise ValueError(f"device must be one device, or different ones in a row; got {device!r}")
    processes = {one.process_index for one in row}
    if processes not in ({jax.process_index()}, set(range(jax.process_count()))):
        raise ValueError(f"device must be of this process or of all {jax.process_count()}; got {sorted(processes)}")
    return jax.sharding.Mesh(row, ("data",))


def _labels(targets: Any) -> Any:
    """Targets as labels (n,), for class weights."""
    flat = targets[:, 0] if getattr(targets, "shape", ())[1:] == (1,) else targets
    if hasattr(flat, "dtype") and flat.ndim == 1 and np.all(np.asarray(flat) == np.floor(np.asarray(flat))):
        return np.asarray(flat).astype(np.int32)
    return flat


def _is_labels(targets: np.ndarray) -> bool:
    return np.issubdtype(targets.dtype, np.integer) and targets.size == len(targets)


def is_builder(model: Any) -> bool:
    """Whether ``model`` is a function that makes one. Modules of other libraries can be called too, but are none."""
    if isinstance(model, (Model, tuple)) or hasattr(model, "apply"):
        return False
    library = type(model).__module__.split(".")[0]
    bases = {base.__module__.split(".")[0] for base in type(model).__mro__}
    if library not in ("builtins", "functools") and bases & {"flax", "equinox"}:
        made = "from_flax" if "flax" in bases else "from_equinox"
        raise TypeError(f"{type(model).__name__} becomes a model by jaxdict.models.{made}(module)")
    return callable(model)


def _as_data(hyperparameters: Mapping[str, Any] | None) -> dict[str, jax.Array]:
    values = {}
    for name, value in (hyperparameters or {}).items():
        _check.number(f"the hyperparameter {name!r}", value)
        if np.ndim(value) != 0:
            raise ValueError(f"the hyperparameter {name!r} must be one number; got the shape {np.shape(value)}")
        values[name] = jnp.asarray(value, jnp.int32 if isinstance(value, (int, np.integer)) else jnp.float32)
    return values


def _all_used(values: Mapping[str, Any], model, optimizer, loss, penalty) -> None:
    builders = [(f, skip) for f, skip in ((model, 0), (optimizer, 0), (loss, 2), (penalty, 1)) if f is not None]
    used: set[str] = set()
    for function, skip in builders:
        if callable(function) and not isinstance(function, Model) and not hasattr(function, "update"):
            used |= set(matching(function, values, skip=skip))
    for name in values:
        if name not in used:
            raise ValueError(
                f"nothing takes the hyperparameter {name!r}: give a function with an argument of that name "
                f"as model, loss, optimizer or penalty"
            )


@constructor
def _partial(function, *args, **options):
    return functools.partial(function, *args, **options)


def intern(function: Any) -> Any:
    """Equal functools.partial objects as one object, so that they share a compiled program."""
    if isinstance(function, functools.partial):
        return _partial(function.func, *function.args, **function.keywords)
    return function
