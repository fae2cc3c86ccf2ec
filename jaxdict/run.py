"""The Run: what training gives back, with predictions, evaluation, saving, and going on where it stopped."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import __version__, _check, _registry, checkpoint
from jaxdict import data as data_room
from jaxdict.history import History
from jaxdict.intake import Fit, outputs_of, shape_of
from jaxdict.layers import Model
from jaxdict.losses import weights_of
from jaxdict.models import as_model, spec_from_json, spec_to_json
from jaxdict.train.outputs import OutputLosses, loaded_metrics, resolve_loss, saved_metrics
from jaxdict.train.segment import DIVERGED, RUNNING, STOPPED, Carry, Plan, count_of, program
from jaxdict.train.step import PRECISIONS, Batch, TrainState, cast, streams_of

RESULTS = ("done", "stopped", "diverged", "interrupted")
PREDICT_BATCH = 1024


class Best(NamedTuple):
    """The best epoch seen: its parameters and state, its number from 1, and the value that was monitored."""

    params: Any
    state: Any
    epoch: int
    value: float


class Run:
    """A training run, finished or under way.

    Attributes:
      params, state, optimizer_state: the last; early stopping with restore makes params and state the best epoch's.
      best: the best epoch seen, or None before the first finite one.
      history: columns by name, one value an epoch.
      result: "done", "stopped" (early stopping, a callback), "diverged" or "interrupted"; "running" while under way.
      message: one sentence about how it ended.
      epoch, epochs, step: finished epochs, epochs asked for, optimizer steps taken.
      compile_seconds: time before the first epoch: initialization and compilation.
    """

    def __init__(self, job: Any):
        self.model: Model = job.model
        self.epochs: int = job.epochs
        self.epoch = 0
        self.history = History()
        self.compile_seconds = 0.0
        self.result = "running"
        self.message = ""
        self.input_shape = job.input_shape
        self.plan: Plan = job.plan
        self.hyperparameters: dict[str, jax.Array] = job.hyperparameters
        self.stop_asked = False
        self.interrupted = False
        self._job = job
        self._carry: Carry | None = None
        self._restored: tuple[Any, Any] | None = None
        self._code = RUNNING

    # ------------------------------------------------------------------------------------- while it runs

    def update(self, carry: Carry) -> None:
        """Take over the state after a segment."""
        self._carry, self.epoch, self._code = carry, int(carry.epoch), int(carry.code)

    def hold(self, carry: Carry) -> None:
        """Take over a state of the present epoch, without waiting for it to be computed."""
        self._carry = carry

    def extend(self, carry: Carry, seconds: float) -> None:
        """Take over the state after a segment, and the rows that it added."""
        done = int(carry.epoch) - self.epoch
        if done:
            names = ["loss", "penalty", *(name for name, _ in self.plan.streams)]
            names = [*names, *(f"validation_{name}" for name in names), "learning_rate"]
            held = jax.device_get(carry.rows)
            rows = {name: held[name][:done].astype(np.float64) for name in names if name in held}
            each = seconds / done
            rate = {"steps_per_second": np.full(done, (self.steps_per_epoch or 0) / each)}
            numbers = {"epoch": np.arange(self.epoch + 1, self.epoch + done + 1, dtype=np.float64)}
            self.history = self.history.extended(numbers | rows | {"seconds": np.full(done, each)} | rate)
        self.update(carry)

    @property
    def running(self) -> bool:
        """Whether another epoch may follow."""
        return self._code == RUNNING

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps an epoch; None before the first epoch over batches from outside."""
        return self._job.steps_per_epoch

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self.epoch * (self.steps_per_epoch or 0)

    def finish(self) -> None:
        """Settle how the run ended, and restore the best epoch where an observer asks for it."""
        where = f"epoch {self.epoch}"
        if self._code == DIVERGED:
            self.result = "diverged"
            loss = self.history["loss"][-1] if self.history.epochs else float("nan")
            what = f"the loss is {loss:g}" if not np.isfinite(loss) else "a parameter is not finite"
            kept = f"after epoch {self.epoch - 1}" if self.epoch > 1 else "from the start"
            self.message = f"diverged in {where}: {what}; the parameters are those {kept}"
        elif self._code == STOPPED:
            self.result, self.message = "stopped", f"stopped by an observer after {where}"
        elif self.interrupted:
            self.result, self.message = "interrupted", f"interrupted after {where}"
        elif self.stop_asked and self.epoch < self.epochs:
            self.result, self.message = "stopped", f"stopped by a callback after {where}"
        elif self.epoch >= self.epochs:
            self.result, self.message = "done", f"done after {where}"
        else:
            self.result, self.message = "interrupted", f"broken off after {where}"
        if self._carry is not None and any(leaf.is_deleted() for leaf in jax.tree.leaves(self._carry)):
            self._carry = None  # a segment failed, and had taken its memory
        for observer, memory in self._observed():
            if observer.restores and int(memory.epoch) > 0:
                self._restored = memory.params, memory.state
                self.message += f"; parameters restored from epoch {int(memory.epoch)}"
                break

    def _observed(self):
        return zip(self.plan.observers, self._carry.memories if self._carry else (), strict=False)

    # --------------------------------------------------------------------------------------- what it holds

    def _held(self, tree: Any) -> Any:
        """Arrays of a run under way are given as copies: the next segment takes the originals' memory."""
        return jax.tree.map(jnp.copy, tree) if self.result == "running" else tree

    @property
    def params(self) -> Any:
        assert self._carry is not None
        return self._restored[0] if self._restored else self._held(self._carry.train.params)

    @property
    def state(self) -> Any:
        assert self._carry is not None
        return self._restored[1] if self._restored else self._held(self._carry.train.state)

    @property
    def optimizer_state(self) -> Any:
        assert self._carry is not None
        return self._held(self._carry.train.optimizer_state)

    @property
    def best(self) -> Best | None:
        for observer, memory in self._observed():
            if observer.monitor is not None and hasattr(memory, "value"):
                if int(memory.epoch) == 0:
                    return None
                params, state = self._held((memory.params, memory.state))
                return Best(params, state, int(memory.epoch), float(memory.value))
        return None

    # ------------------------------------------------------------------------------------------ using it

    def predict(
        self, inputs: Any, *, output: str = "raw", dropout_samples: int | None = None, key: Any = 0,
        batch_size: int = PREDICT_BATCH,
    ) -> jax.Array:  # fmt: skip
        """Predictions for ``inputs`` of any number, in batches.

        Args:
          inputs: ``(n, …)`` as in training. batch_size: how many at once.
          output: "raw" model outputs, "probabilities" or "classes" (where the loss says what they are; of several
            outputs, a dict of those of which it does).
          dropout_samples: average over so many dropout masks instead of none, drawn from ``key``.

        Returns:
          ``(n, …)`` in the model's output type; classes int32 ``(n,)``.

        Raises:
          ValueError: inputs of another shape, an unknown output, or one that this loss does not define.
        """
        _check.one_of("output", output, ["raw", "probabilities", "classes"])
        if count_of(inputs):
            inputs, _ = data_room.check(inputs, None, name="predict")
        self._check_shape(inputs, "inputs")
        if dropout_samples is not None:
            _check.integer("dropout_samples", dropout_samples, low=1)
        unit = _output_unit(self.plan.loss, output)
        forward = _predictor(self.model, self.plan.precision, output, unit, dropout_samples)
        count = count_of(inputs)
        size = min(batch_size, max(8, 1 << max(0, count - 1).bit_length()))  # few sizes, few compilations
        key = _check.prng_key(key)
        results = []
        for start in range(0, max(count, 1), size):
            part = jax.tree.map(lambda x: x[start : start + size], inputs)  # noqa: B023  (used at once)
            missing = size - count_of(part)
            padded = jax.tree.map(lambda x: np.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)), part)  # noqa: B023
            values = forward(self.params, self.state, padded, jax.random.fold_in(key, start))
            results.append(jax.tree.map(lambda v: v[: size - missing], values))  # noqa: B023
        return jax.tree.map(lambda *v: jnp.concatenate(v), *results)

    def evaluate(self, data: Any, *, metrics: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """Loss and metrics on ``data``, any number of examples.

        Args:
          data: ``(inputs, targets)``, ``(inputs, targets, weights)`` or a Dataset.
          metrics: names or functions; those of the run when None. sample_weight: ``(n,)``, weighs the loss.

        Returns:
          Floats by name, ``loss`` first, arrays where a metric gives one; exact over any number of examples.

        Raises:
          ValueError: data that does not fit the model or the loss. TypeError: other data, such as batches.
        """
        if hasattr(data, "inputs") and hasattr(data, "targets"):
            data = (data.inputs, data.targets)
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise TypeError(f"data must be (inputs, targets[, weights]) or a Dataset; got {type(data).__name__}")
        if len(data) == 3:
            if sample_weight is not None:
                raise ValueError("sample weights were given twice: in data and as sample_weight")
            sample_weight = data[2]
        inputs, targets = data_room.check(data[0], data[1])
        targets = self._job.fits(targets, "data")
        self._check_shape(inputs, "inputs")
        weights = None
        if sample_weight is not None:
            weights = weights_of(sample_weight, None, None, count_of(inputs))
        outputs = self._job.fits.outputs
        streams = self.plan.streams
        if metrics is not None:
            streams = tuple(streams_of(metrics, loss=self.plan.loss, outputs=outputs).items())
        plan = _evaluating(self.plan, streams)
        train = TrainState(self.params, self.state, ())
        batch = jax.device_put(Batch(inputs, targets, weights))
        row = program(plan).evaluate(train, batch, self.hyperparameters)
        row = {"loss": row["loss"], **row}  # jit sorts names
        return {name: float(value) if value.ndim == 0 else np.asarray(value) for name, value in row.items()}

    def _check_shape(self, inputs: Any, name: str) -> None:
        """A ValueError unless the examples have the shapes that the run was trained on."""
        found = shape_of(inputs)
        if found == self.input_shape:
            return
        if hasattr(inputs, "shape") and isinstance(self.input_shape, tuple):
            wanted = f"the shape (n, {', '.join(map(str, self.input_shape))})"
            raise ValueError(f"{name} must have {wanted}; got {inputs.shape}")
        raise ValueError(f"{name} must be of examples of the shapes {self.input_shape}; got {found}")

    def save(self, path: str | os.PathLike) -> Path:
        """Write all that the run depends on to ``path`` (one safetensors file, atomically); gives the path."""
        return Path(checkpoint.save(path, self))

    def __checkpoint__(self) -> tuple[Any, dict[str, Any]]:
        carry = self._carry
        assert carry is not None
        tree = _kept(carry, self.epoch) | {"history": {name: np.asarray(v) for name, v in self.history.items()}}
        restored = next((i for i, (o, _) in enumerate(self._observed()) if o.restores), None)
        metadata = {
            "kind": "run",
            "epoch": self.epoch,
            "epochs": self.epochs,
            "columns": list(self.history),
            "step": self.step,
            "code": self._code,
            "result": self.result,
            "message": self.message,
            "restored": restored if self._restored else None,
            "inputs": _plain(self._job.example),
            "model": spec_to_json(self.model),
            "loss": _loss_name(self.plan.loss),
            "metrics": saved_metrics(self.plan.streams),
            "jaxdict": __version__,
        } | self.identity()
        return tree, metadata

    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to go on as if it had never stopped."""
        return {
            "data": self._job.fingerprint(),
            "key": np.asarray(jax.random.key_data(self._job.key)).tolist(),
            "batch_size": self.plan.batch_size,
            "weight_normalization": "count" if self.plan.by_count else "weights",
            "precision": self.plan.precision or "float32",
            "accumulation": self.plan.accumulation,
            "hyperparameters": {name: float(v) for name, v in self.hyperparameters.items()},
        }

    def __repr__(self) -> str:
        return f"<Run {self.result}, epoch {self.epoch} of {self.epochs}; {self.history!r}>"


def _evaluating(plan: Plan, streams: tuple) -> Plan:
    return dataclasses.replace(plan, streams=streams, observers=(), optimizer=_IDENTITY)


_IDENTITY = optax.identity()


@functools.lru_cache(maxsize=64)
def _predictor(model: Model, precision: str | None, output: str, unit: Any, samples: int | None) -> Any:
    dtype = PRECISIONS[precision or "float32"]

    @jax.jit
    def forward(params, state, inputs, key):
        def once(key, train):
            outputs, _ = model.apply(cast(params, dtype), state, cast(inputs, dtype), key=key, train=train)
            outputs = cast(outputs, None if dtype is None else jnp.float32)
            return outputs if output == "raw" else unit(outputs)

        if samples is None:
            values = once(None, False)
        else:
            each = jax.vmap(lambda k: once(k, "noise"))(jax.random.split(key, samples))
            values = jax.tree.map(lambda v: jnp.mean(v, axis=0), each)
        return jax.tree.map(_classes, values) if output == "classes" else values

    return forward


def _classes(probabilities: jax.Array) -> jax.Array:
    if probabilities.shape[-1] == 1:
        return (probabilities[..., 0] >= 0.5).astype(jnp.int32)
    return jnp.argmax(probabilities, axis=-1).astype(jnp.int32)


def _output_unit(loss: Any, output: str) -> Any:
    """The function that turns raw outputs into probabilities, which the loss decides; None when none is needed."""
    if output == "raw":
        return None
    if isinstance(loss, OutputLosses):
        return _units(loss.losses)
    name = _entry_name(getattr(loss, "func", loss), "loss")
    if name in ("softmax_cross_entropy", "sparse_softmax_cross_entropy"):
        return _registry.find("softmax", "activation").function
    if name == "sigmoid_cross_entropy":
        return _registry.find("sigmoid", "activation").function
    raise ValueError(
        f"output={output!r} needs a loss on logits (softmax or sigmoid cross-entropy); this run's loss is "
        f"{name or getattr(loss, '__name__', loss)!r}: use output='raw'"
    )


@functools.lru_cache(maxsize=64)
def _units(losses: tuple[tuple[str, Any], ...]) -> Any:
    """Probabilities of those of several outputs whose loss is on logits; a ValueError where none is."""
    units, reasons = {}, []
    for name, loss in losses:
        try:
            units[name] = _output_unit(loss, "probabilities")
        except ValueError as error:
            reasons.append(f"output {name!r}: {error}")
    if not units:
        raise ValueError("; ".join(reasons))
    return lambda outputs: {name: unit(outputs[name]) for name, unit in units.items()}


def _loss_name(loss: Any) -> Any:
    """The dictionary's name of a loss, None where it has none; a dict of such by output."""
    if isinstance(loss, OutputLosses):
        return {name: _entry_name(one, "loss") for name, one in loss.losses}
    return _entry_name(loss, "loss")


def _known_loss(loss: Any, saved: Any, path: Any) -> Any:
    """The loss that was given, or the one whose name was saved; a ValueError where that has none."""
    if loss is None and (saved is None or (isinstance(saved, dict) and None in saved.values())):
        whose = "" if saved is None else f" for {', '.join(repr(name) for name, one in saved.items() if one is None)}"
        raise ValueError(f"the loss of {path}{whose} is not in the dictionary; give it as loss=…")
    return resolve_loss(loss or saved)


def _entry_name(function: Any, kind: str) -> str | None:
    return next((e.name for e in _registry.iterate(kind) if e.function is function), None)


# ----------------------------------------------------------------------------------------- going on, loading


def _file(path: Any) -> Path:
    path = Path(path)
    if path.is_dir():
        found = checkpoint.latest(path)
        if found is None:
            raise checkpoint.CheckpointError(f"{path} holds no checkpoint that can be read")
        return Path(found)
    return path


def restore(source: Any, job: Any, shapes: Carry) -> tuple[Carry, History]:
    """The state to go on from: a checkpoint file, a folder of them, or a Run; errors name the first difference."""
    if isinstance(source, Run):
        if isinstance(source._job, _Loaded):
            raise ValueError("a run that was loaded cannot go on; give the path: fit(…, resume=path)")
        assert source._carry is not None
        _same_run(source.identity(), Run(job).identity(), "the run")
        kept = _kept(source._carry, source.epoch, list(source.history))
        checkpoint.compare("the run", kept, _kept(shapes, source.epoch))
        return jax.tree.map(jnp.copy, source._carry), source.history
    path = _file(source)
    metadata = checkpoint.read_metadata(path)
    if metadata.get("kind") != "run":
        raise checkpoint.CheckpointError(f"{path} holds no run")
    _same_run({k: metadata.get(k) for k in Run(job).identity()}, Run(job).identity(), str(path))
    epoch = metadata["epoch"]
    tree, _ = checkpoint.read(path, _kept(shapes, epoch))
    train = TrainState(tree["params"], tree["state"], tree["optimizer_state"])
    train, memories = jax.tree.map(jnp.asarray, (train, tuple(tree["observers"])))
    rows = {name: jnp.zeros(values.shape, values.dtype) for name, values in shapes.rows.items()}
    carry = Carry(train, jnp.int32(epoch), memories, rows, jnp.int32(metadata["code"]))
    return carry, History({name: tree["history"][name] for name in metadata["columns"]})


def _kept(carry: Carry, epoch: int, columns: list[str] | None = None) -> dict[str, Any]:
    """What a checkpoint holds of a run, or looks like; its history as zeros, of these columns or those of ``carry``."""
    columns = columns or (["epoch", *carry.rows, "seconds", "steps_per_second"] if epoch else [])
    return {
        "params": carry.train.params,
        "state": carry.train.state,
        "optimizer_state": carry.train.optimizer_state,
        "observers": list(carry.memories),
        "history": {name: np.zeros(epoch) for name in columns},
    }


def _same_run(saved: dict[str, Any], now: dict[str, Any], where: str) -> None:
    for name, value in now.items():
        if saved.get(name) != value:
            if name == "data":
                raise ValueError(f"cannot go on from {where}: it was trained on other data")
            raise ValueError(f"cannot go on from {where}: {name} was {saved.get(name)!r} and is {value!r} now")


def _plain(tree: Any) -> Any:
    """Shapes and types of a tree of inputs as JSON data; tuples become lists."""
    if isinstance(tree, dict):
        return {"parts": {name: _plain(part) for name, part in tree.items()}}
    if isinstance(tree, (tuple, list)):
        return {"parts": [_plain(part) for part in tree]}
    return {"shape": list(tree.shape), "dtype": tree.dtype.name}


def _structs(data: dict[str, Any]) -> Any:
    """The tree that ``_plain`` wrote."""
    parts = data.get("parts")
    if isinstance(parts, dict):
        return {name: _structs(part) for name, part in parts.items()}
    if isinstance(parts, list):
        return [_structs(part) for part in parts]
    return jax.ShapeDtypeStruct(tuple(data["shape"]), jnp.dtype(data["dtype"]))


class _Loaded:
    """Stands where a job does, for a run that was loaded and cannot train."""

    def __init__(self, metadata: dict[str, Any], model: Model, plan: Plan):
        self.model, self.plan = model, plan
        self.epochs = metadata["epochs"]
        self.example = _structs(metadata["inputs"])
        self.input_shape = shape_of(self.example)
        self.fits = Fit(plan.loss, outputs_of(model, self.example))
        self.steps_per_epoch = metadata["step"] // max(1, metadata["epoch"])
        self.hyperparameters = {k: jnp.float32(v) for k, v in metadata["hyperparameters"].items()}
        self.key = jax.random.wrap_key_data(jnp.asarray(metadata["key"], jnp.uint32))
        self._fingerprint = metadata["data"]

    def fingerprint(self) -> str | None:
        return self._fingerprint


def load_run(path: str | os.PathLike, *, model: Any = None, loss: Any = None, metrics: Any = None) -> Run:
    """The run saved at ``path``, a file or a folder of checkpoints, ready to predict and evaluate.

    Args:
      path: what ``run.save`` or the checkpoint callback wrote.
      model: the model, where it was not made of dictionary names. loss, metrics: likewise.

    Returns:
      The Run; its optimizer_state is a dict by path. To train on, give the path to ``fit(…, resume=path)``.

    Raises:
      CheckpointError: a missing, damaged or foreign file. ValueError: the model or loss must be given.
    """
    path = _file(path)
    tree, metadata = checkpoint.read(path)
    if metadata.get("kind") != "run":
        raise checkpoint.CheckpointError(f"{path} holds no run")
    if model is None:
        if metadata["model"] is None:
            raise ValueError(f"the model of {path} was not made of dictionary names; give it as model=…")
        model = spec_from_json(metadata["model"])
    found = _known_loss(loss, metadata["loss"], path)
    outputs = outputs_of(as_model(model), _structs(metadata["inputs"]))
    streams = streams_of(metrics or loaded_metrics(metadata["metrics"]), loss=found, outputs=outputs)
    plan = Plan(
        model=as_model(model), loss=found, optimizer=_IDENTITY,
        penalty=None, augment=None, streams=tuple(streams.items()), observers=(),
        batch_size=metadata["batch_size"], by_count=metadata["weight_normalization"] == "count",
        precision=metadata["precision"], accumulation=metadata["accumulation"], masked_tail=False,
    )  # fmt: skip
    run = Run(_Loaded(metadata, as_model(model), plan))
    kept = tree
    if metadata["restored"] is not None:
        kept = tree["observers"][str(metadata["restored"])]
    train = TrainState(kept.get("params", {}), kept.get("state", {}), tree.get("optimizer_state", {}))
    run._carry = jax.tree.map(
        jnp.asarray, Carry(train, jnp.int32(metadata["epoch"]), (), {}, jnp.int32(metadata["code"]))
    )
    run.epoch, run._code = metadata["epoch"], metadata["code"]
    run.history = History({name: tree["history"][name] for name in metadata["columns"]})
    run.result = metadata["result"] if metadata["result"] != "running" else "interrupted"
    run.message = metadata["message"]
    return run
