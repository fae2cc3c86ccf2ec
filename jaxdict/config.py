"""Configs: a TOML file to a checked ``Config``, that to an ``Experiment``, that to a run in a folder of its own.

Conventions of the room. A mistake is one line that names the key, the value and what is allowed, and it is found before
anything is written. Names are the dictionary's. A resolved config says all that was decided from the data, and loads
back equal.
"""

import contextlib
import inspect
import json
import os
import re
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import numpy as np
import optax
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jaxdict import _check, _registry, callbacks, checkpoint, losses, metrics, models, penalties, runner, schedules
from jaxdict import data as data_room
from jaxdict import optimizers as optimizers_room
from jaxdict._cache import constructor
from jaxdict._versions import system, versions
from jaxdict.data import Dataset
from jaxdict.layers import Model
from jaxdict.runner import Run
from jaxdict.train import observers

__all__ = ["Config", "ConfigError", "Experiment", "OpenRun", "build", "load", "open_run", "parse", "run"]

_ROOMS = (losses, metrics, optimizers_room, penalties, schedules)  # their entries are found by name


class ConfigError(ValueError):
    """A config, or data, that cannot be trained with: one line for the person who wrote it."""


# --- what a config may hold -------------------------------------------------------------------------------------------


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Named(_Section):
    """A name of the dictionary, and options of what has that name."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


_Seed = Annotated[int, Field(ge=0, lt=2**32)]
_Fraction = Annotated[float, Field(ge=0, lt=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]


class DataSection(_Section):
    source: str
    target: str | None = None
    task: Literal["multiclass", "binary", "regression"] | None = None
    test_fraction: _Fraction = 0.2
    validation_fraction: _Fraction = 0.1
    seed: _Seed = 0
    standardize: bool = False
    flatten: bool = True


class ModelSection(_Section):
    kind: Literal["mlp"] = "mlp"
    hidden: list[_Count] = [128, 64]
    activation: str = "relu"
    dropout: _Fraction = 0.0
    batch_norm: Literal["before", "after"] | None = None
    initializer: str | None = None


class LossSection(_Named):
    name: str | None = None


class ScheduleSection(_Named):
    name: str


class OptimizerSection(_Named):
    name: str = "adam"
    learning_rate: _Positive | None = None
    clip_norm: _Positive | None = None
    schedule: ScheduleSection | None = None


class PenaltySection(_Section):
    name: str
    strength: _NotNegative
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    mask: str | None = None


class EarlyStoppingSection(_Section):
    monitor: str = "validation_loss"
    mode: Literal["min", "max"] = "min"
    patience: _Count = 10
    min_delta: _NotNegative = 0.0
    restore_best: bool = True


class TrainingSection(_Section):
    epochs: _Count = 30
    batch_size: _Count = 32
    seed: _Seed = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulation: _Count = 1
    class_weight: Any = None
    metrics: list[str] | None = None
    segment_epochs: _Count | None = None
    early_stopping: EarlyStoppingSection | None = None
    compilation_cache: str | None = None

    @field_validator("class_weight")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        numbers = isinstance(value, dict) and all(
            isinstance(w, (int, float)) and not isinstance(w, bool) and 0 <= w < np.inf for w in value.values()
        )
        if value is None or value == "balanced" or numbers:
            return value
        raise ValueError('"balanced" or a table of a weight >= 0 for each class')


class OutputSection(_Section):
    folder: str | None = None
    checkpoint_seconds: _Positive = 2.0
    keep: _Count = 3
    tensorboard: bool = True
    curves: bool = True


class Config(_Section):
    """What to train on what, and how; sections as in the file. ``load`` reads one, ``to_toml`` writes it."""

    data: DataSection
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    optimizer: OptimizerSection = OptimizerSection()
    penalty: PenaltySection | None = None
    training: TrainingSection = TrainingSection()
    output: OutputSection = OutputSection()

    def to_toml(self) -> str:
        """The config as TOML text that loads back equal; what is None is left out."""
        return "".join(_toml_tables(self.model_dump(exclude_none=True), ())).lstrip("\n")

    def changed(self, section: str, **values: Any) -> "Config":
        """A config with other values in one section."""
        return self.model_copy(update={section: getattr(self, section).model_copy(update=values)})


# --- TOML -------------------------------------------------------------------------------------------------------------


def _toml_tables(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    if path:
        yield f"\n[{'.'.join(map(_toml_key, path))}]\n"
    yield from (f"{_toml_key(key)} = {_toml_value(table[key])}\n" for key in table if key not in inner)
    for key, value in inner.items():
        yield from _toml_tables(value, (*path, key))


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return str(value).lower() if isinstance(value, bool) else repr(value)


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """The config in a TOML file.

    Args:
      path: the file.
      overrides: ``"training.epochs=5"``, dotted keys and values as in TOML; a bare word is a string.

    Raises:
      ConfigError: no such file, no TOML, an unknown key or name (with the closest), a value of the wrong type or out
        of range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {'no such file' if not path.exists() else error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    return parse(table)


def _override(table: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise ConfigError(f"--set {text}: write section.key=value, such as training.epochs=5")
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {text}: {part} is a value, not a section")
    try:
        table[parts[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[parts[-1]] = value.strip()


# --- checking ---------------------------------------------------------------------------------------------------------


def parse(table: Mapping[str, Any]) -> Config:
    """The config of a mapping of sections; see ``load``."""
    try:
        config = Config.model_validate(table)
    except ValidationError as error:
        raise ConfigError(_first_mistake(error)) from None
    return _with_names(config)


_TYPES = {
    "int": "a whole number", "float": "a number", "finite_number": "a finite number", "string": "a string",
    "bool": "true or false", "list": "an array", "model": "a table", "dict": "a table",
}  # fmt: skip
_SIGNS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def _first_mistake(error: ValidationError) -> str:
    """The first error of pydantic's as one line in the words of the other checks."""
    mistake = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelled key also misses
    kind, given, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake["loc"])[1:]
    if kind == "extra_forbidden":
        return _unknown_key(key, _known_keys(Config))
    if kind == "missing":
        return f"{key} is missing"
    if kind in _SIGNS:
        sign = _SIGNS[kind]
        return f"{key} must be {_BOUNDS[sign]} {context[sign]}; got {given!r}"
    if kind == "literal_error":
        hint = f"; {_check.did_you_mean(given, re.findall(r"'(\w+)'", context['expected']))}" if given and isinstance(
            given, str
        ) else ""
        return f"{key} must be {context['expected']}; got {given!r}{hint if 'did you mean' in hint else ''}"
    if kind == "value_error":
        return f"{key} must be {context['error']}; got {given!r}"
    stem = kind if kind in _TYPES else kind.split("_")[0]
    return f"{key} must be {_TYPES.get(stem, mistake['msg'])}; got {given!r}"


def _known_keys(section: type[BaseModel], path: str = "") -> list[str]:
    """Every key that a config may hold, dotted."""
    keys = []
    for name, field in section.model_fields.items():
        keys.append(path + name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if inspect.isclass(inner) and issubclass(inner, BaseModel):
                keys += _known_keys(inner, f"{path}{name}.")
    return keys


def _unknown_key(key: str, known: Iterable[str]) -> str:
    """The key, and the closest: in its own section, elsewhere by its last part, or anywhere."""
    known = list(known)
    section, _, last = key.rpartition(".")
    beside = [k for k in known if k.rpartition(".")[0] == section]
    namesakes = [k for k in known if _check.fold(k.rpartition(".")[2]) == _check.fold(last)]
    tails = {k.rpartition(".")[2]: k for k in beside}
    close = [tails[t] for t in _check.closest(last, tails)] or namesakes or _check.closest(key, known)
    if close:
        return f"{key} is no key of a config; did you mean {' or '.join(map(repr, close[:2]))}?"
    return f"{key} is no key of a config; {section or 'a config'} holds {', '.join(sorted(tails))}"


def _entry(key: str, name: str, kind: str) -> Any:
    try:
        return _registry.find(name, kind)
    except _registry.UnknownName as error:
        raise ConfigError(f"{key}: {error}") from None


def _with_names(config: Config) -> Config:
    """The config with the dictionary's own names in place of aliases, and options that are known."""
    model, loss, optimizer, penalty = config.model, config.loss, config.optimizer, config.penalty
    activation = _entry("model.activation", model.activation, "activation").name
    initializer = model.initializer and _entry("model.initializer", model.initializer, "initializer").name
    config = config.changed("model", activation=activation, initializer=initializer)
    if loss.name is not None:
        entry = _entry("loss.name", loss.name, "loss")
        _known_options("loss", entry, loss.options, skip=2)
        config = config.changed("loss", name=entry.name)
    elif loss.options:
        raise ConfigError(f"loss.name is missing; loss.{next(iter(loss.options))} is an option of a named loss")
    entry = _entry("optimizer.name", optimizer.name, "optimizer")
    fields = [f"optimizer.{name}" for name in OptimizerSection.model_fields]
    _known_options("optimizer", entry, optimizer.options, skip=1, also=fields)
    config = config.changed("optimizer", name=entry.name, schedule=_named_schedule(optimizer))
    if penalty is not None:
        entry = _entry("penalty.name", penalty.name, "penalty")
        given = {n: v for n, v in penalty.model_dump(exclude={"name"}).items() if v is not None}
        _known_options("penalty", entry, given, skip=1)
        _no_missing("penalty", entry.function, given, skip=1)
        config = config.changed("penalty", name=entry.name)
    if config.training.metrics is not None:
        config = config.changed("training", metrics=[_metric_name(name) for name in config.training.metrics])
    return config


def _metric_name(name: str) -> str:
    try:
        return metrics.name_of(name)
    except KeyError as error:
        raise ConfigError(f"training.metrics: {error}") from None


def _named_schedule(optimizer: OptimizerSection) -> ScheduleSection | None:
    schedule = optimizer.schedule
    if schedule is None:
        return None
    entry = _entry("optimizer.schedule.name", schedule.name, "schedule")
    _known_options("optimizer.schedule", entry, schedule.options)
    if optimizer.learning_rate is not None and "init_value" in schedule.options:
        raise ConfigError("give optimizer.learning_rate or optimizer.schedule.init_value, not both")
    return schedule.model_copy(update={"name": entry.name})


def _known_options(section: str, entry: Any, given: Iterable[str], skip: int = 0, also: Sequence[str] = ()) -> None:
    parameters = list(inspect.signature(entry.function).parameters)[skip:]
    known = [f"{section}.{name}" for name in parameters if name != "axis"]
    for name in given:
        if f"{section}.{name}" not in known:
            raise ConfigError(f"{_unknown_key(f'{section}.{name}', [*known, *also])[:-1]}? ({entry.name})")


def _no_missing(section: str, function: Callable[..., Any], given: Iterable[str], skip: int = 0) -> None:
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise ConfigError(f"{section}.{parameter.name} is missing; {function.__name__} needs it")


@contextlib.contextmanager
def _about(section: str) -> Iterator[None]:
    """What goes wrong inside is a mistake in ``section`` of the config."""
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, TypeError, KeyError, OSError, ModuleNotFoundError) as error:
        raise ConfigError(f"{section}: {error}") from error


# --- from a config to what fit takes ----------------------------------------------------------------------------------


class Experiment(NamedTuple):
    """All that a config describes, loaded, split and built; ``config`` is the resolved one."""

    config: Config
    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    model: Model
    loss: Callable[..., Any]
    optimizer: Any
    penalty: Callable[..., Any] | None
    observers: tuple[Any, ...]
    class_weight: dict[int, float] | None
    preprocess: dict[str, Any]
    fingerprint: str


_LOSSES = {
    "multiclass": "sparse_softmax_cross_entropy", "binary": "sigmoid_cross_entropy", "regression": "mean_squared_error",
}  # fmt: skip
_METRICS = {"multiclass": ["accuracy"], "binary": ["accuracy"], "regression": ["mean_absolute_error", "r2"]}


def build(config: Config) -> Experiment:
    """Load and split the data, make the model, loss and optimizer; nothing is written and nothing trained.

    Args:
      config: see ``load``. What it leaves open is decided here: the loss and the metrics by the task, the length of a
        schedule by the number of steps.

    Returns:
      The experiment; its config is the resolved one.

    Raises:
      ConfigError: data or options that cannot be used; the message names the section.
    """
    with _about("data"):
        whole, fingerprint = _load_data(config.data)
        train, validation, test = _split(config.data, whole)
        preprocess = _preprocess(config.data, train)
        train, validation, test = (part and prepare(preprocess, part) for part in (train, validation, test))
    source = config.data.source
    if any(c in source for c in "./\\~"):
        source = os.path.abspath(os.path.expanduser(source))
    config = config.changed("data", source=source)
    config = config.changed("loss", name=config.loss.name or _LOSSES[whole.task])
    if config.training.metrics is None:
        config = config.changed("training", metrics=_METRICS[whole.task])
    loss = _registry.find(config.loss.name or "", "loss").function
    widths = [int(np.prod(train.inputs.shape[1:])), *config.model.hidden, _output_width(loss, train)]
    with _about("model"):
        if train.inputs.ndim != 2:
            raise ConfigError(f"data.flatten must be true for an mlp; the examples have {train.inputs.shape[1:]}")
        options = config.model.model_dump(exclude={"kind", "hidden"})
        model = models.mlp(widths, **options)
    steps = -(-len(train) // min(config.training.batch_size, len(train))) * config.training.epochs
    config, optimizer = _optimizer(config, steps)
    stopping = config.training.early_stopping
    if stopping is not None and stopping.monitor.startswith("validation_") and validation is None:
        raise ConfigError(
            f"training.early_stopping.monitor is {stopping.monitor!r}, but data.validation_fraction is 0: "
            f"nothing is held out"
        )
    return Experiment(
        config=config, train=train, validation=validation, test=test, model=model,
        loss=partial(loss, **config.loss.options) if config.loss.options else loss,
        optimizer=optimizer, penalty=_penalty(config.penalty),
        observers=() if stopping is None else (observers.early_stopping(**stopping.model_dump()),),
        class_weight=_class_weight(config.training.class_weight, train),
        preprocess=preprocess, fingerprint=fingerprint,
    )  # fmt: skip


def _load_data(section: DataSection) -> tuple[Dataset, str]:
    source = os.path.expanduser(section.source)
    whole = data_room.load(source, target=section.target, task=section.task, flatten=section.flatten)
    test = () if whole.test is None else (whole.test.inputs, whole.test.targets)
    return whole, data_room.fingerprint((whole.inputs, whole.targets, *test))


def _split(section: DataSection, whole: Dataset) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Training, validation and test part; the source's own test part where it has one."""
    key = jax.random.key(section.seed)
    rest, test, validation = whole.take(slice(None)), whole.test, None
    if test is None and section.test_fraction:
        rest, test = data_room.split(rest, section.test_fraction, key=key)
    if section.validation_fraction:
        rest, validation = data_room.split(rest, section.validation_fraction, key=jax.random.fold_in(key, 1))
    return rest, validation, test


def _preprocess(section: DataSection, train: Dataset) -> dict[str, Any]:
    """What must be known to feed the model later, as plain JSON data."""
    kept: dict[str, Any] = {
        "task": train.task, "classes": list(train.classes), "features": list(train.feature_names),
        "input_shape": list(train.inputs.shape[1:]), "standardizer": None,
    }  # fmt: skip
    if section.standardize:
        scale = data_room.fit_standardizer(train.inputs)
        kept["standardizer"] = {"mean": scale.mean.tolist(), "std": scale.std.tolist()}
    return kept


def prepare(preprocess: Mapping[str, Any], data: Dataset) -> Dataset:
    """``data`` as the model takes it: what the training part was standardized by is applied."""
    return data.__class__(**{**vars(data), "inputs": prepare_inputs(preprocess, data.inputs)})


def prepare_inputs(preprocess: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    """Inputs ``(n, …)`` as the model takes them."""
    scale = preprocess["standardizer"]
    if scale is None:
        return inputs
    return data_room.Standardizer(np.asarray(scale["mean"]), np.asarray(scale["std"])).apply(inputs)


def _output_width(loss: Callable[..., Any], train: Dataset) -> int:
    """How many outputs the loss needs for these targets."""
    name, (first, second) = loss.__name__, list(inspect.signature(loss).parameters)[:2]
    if train.task == "regression" and first != "logits":
        return 1 if train.targets.ndim == 1 else train.targets.shape[-1]
    if train.task != "regression" and second == "labels":
        return len(train.classes)
    if train.task == "binary" and first == "logits" and name != "softmax_cross_entropy":
        return 1
    raise ConfigError(f"loss.name: {name} does not suit the {train.task} task of {train.name}; try {_LOSSES[train.task]}")


def _optimizer(config: Config, steps: int) -> tuple[Config, Any]:
    """The config with its schedule spelled out, and the optimizer, clipped where it says so."""
    section = config.optimizer
    options, rate, schedule = section.options, section.learning_rate, section.schedule
    function = _registry.find(section.name, "optimizer").function
    if schedule is not None:
        make = _registry.find(schedule.name, "schedule").function
        takes = inspect.signature(make).parameters
        given = dict(schedule.options)
        first = next((name for name in ("init_value", "value") if name in takes), None)
        if rate is not None and first is not None and first not in given:
            given, rate = {first: rate, **given}, None
        if rate is not None:
            raise ConfigError("give optimizer.learning_rate or the values of optimizer.schedule, not both")
        if "decay_steps" in takes:
            given.setdefault("decay_steps", steps)
        _no_missing("optimizer.schedule", make, given)
        schedule = ScheduleSection.model_validate({"name": schedule.name, **given})
        config = config.changed("optimizer", learning_rate=None, schedule=schedule)
        with _about("optimizer.schedule"):
            options["learning_rate"] = make(**given)
    elif rate is not None:
        options["learning_rate"] = rate
    _no_missing("optimizer", function, options)
    with _about("optimizer"):
        made = function(**options)
        return config, made if section.clip_norm is None else _clipped(section.clip_norm, made)


@constructor
def _clipped(norm: float, optimizer: Any) -> Any:
    return optax.chain(optax.clip_by_global_norm(norm), optimizer)


def _penalty(section: PenaltySection | None) -> Callable[..., Any] | None:
    if section is None:
        return None
    options = section.model_dump(exclude={"name"}, exclude_none=True)
    return partial(_registry.find(section.name, "penalty").function, **options)


def _class_weight(given: Any, train: Dataset) -> dict[int, float] | None:
    if given is None:
        return None
    if not train.classes:
        raise ConfigError(f"training.class_weight is for classes; the task of {train.name} is {train.task}")
    counts = np.bincount(train.targets, minlength=len(train.classes))
    if given == "balanced":
        return {label: len(train) / (len(counts) * count) if count else 0.0 for label, count in enumerate(counts)}
    weights = {}
    for name, weight in given.items():
        if name not in train.classes:
            raise ConfigError(f"training.class_weight.{name}: no such class; {_check.did_you_mean(name, train.classes)}")
        weights[train.classes.index(name)] = float(weight)
    return weights


# --- a run in its folder ----------------------------------------------------------------------------------------------


class _Folder:
    """Makes the run's folder and what says how to use it, when training starts: everything was checked by then."""

    def __init__(self, path: Path, experiment: Experiment):
        self.path, self.experiment, self.started = path, experiment, False

    def on_start(self, _: Run) -> None:
        self.started = True
        self.path.mkdir(parents=True, exist_ok=True)
        _write(self.path / "config.toml", self.experiment.config.to_toml())
        _write(self.path / "preprocess.json", json.dumps(self.experiment.preprocess, ensure_ascii=False) + "\n")


def run(
    config: Config | Experiment, out: str | os.PathLike[str], *, resume: bool = False, callbacks: Sequence[Any] = ()
) -> Run:
    """Train as a config says and leave everything in a folder.

    The folder holds config.toml (resolved), preprocess.json, metrics.csv, curves.png, checkpoints/, tensorboard/ and,
    at the end, result.json.

    Args:
      config: a config, or what ``build`` made of it.
      out: the folder; made once everything is built and checked.
      resume: go on with the run in the folder, bit for bit, or start it where it has no checkpoint yet. Its config must
        be this one but for the number of epochs.
      callbacks: further ones, such as ``callbacks.progress()``.

    Returns:
      The Run, with the parameters that were tested.

    Raises:
      ConfigError: a config or data that cannot be used, a folder that holds something else; nothing is written.
      CheckpointError: a checkpoint of another run.
    """
    began = time.perf_counter()
    experiment = config if isinstance(config, Experiment) else build(config)
    config, out = experiment.config, Path(out)
    start = _claim(out, config, resume)
    training = config.training
    if training.compilation_cache is not None:
        jax.config.update("jax_compilation_cache_dir", os.path.abspath(training.compilation_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    folder = _Folder(out, experiment)
    try:
        result = runner.fit(
            experiment.model, experiment.loss, experiment.optimizer, experiment.train,
            key=training.seed, epochs=training.epochs, batch_size=training.batch_size,
            validation=experiment.validation, metrics=training.metrics, penalty=experiment.penalty,
            class_weight=experiment.class_weight, observers=experiment.observers,
            callbacks=[folder, *_writers(config, out), *callbacks], resume=start,
            segment_epochs=training.segment_epochs, precision=training.precision, accumulation=training.accumulation,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        if folder.started or isinstance(error, checkpoint.CheckpointError):
            raise
        raise ConfigError(str(error)) from error
    scores = None if experiment.test is None else result.evaluate(experiment.test)
    times = {
        "compile": result.compile_seconds,
        "training": float(np.sum(result.history["seconds"])) if result.history.epochs else 0.0,
        "total": time.perf_counter() - began,
    }
    record = {
        "test": scores,
        "result": result.result,
        "message": result.message,
        "epochs": result.epoch,
        "best_epoch": None if result.best is None else result.best.epoch,
        "seconds": times,
        "data": {
            "source": config.data.source,
            "fingerprint": experiment.fingerprint,
            "train": len(experiment.train),
            "validation": len(experiment.validation or ()),
            "test": len(experiment.test or ()),
        },
        "versions": versions() | system(),
    }
    _write(out / "result.json", json.dumps(_finite(record), indent=2, ensure_ascii=False) + "\n")
    return result


def _writers(config: Config, out: Path) -> list[Any]:
    output = config.output
    chosen = [
        callbacks.csv(out / "metrics.csv"),
        callbacks.checkpoint(out / "checkpoints", seconds=output.checkpoint_seconds, keep=output.keep),
    ]
    if output.tensorboard:
        chosen.append(callbacks.tensorboard(out / "tensorboard"))
    if output.curves:
        chosen.append(callbacks.curves(out / "curves.png", title=out.resolve().name))
    return chosen


def _claim(out: Path, config: Config, resume: bool) -> Path | None:
    """The checkpoint to go on from; a ConfigError when the folder is not this run's to write into."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; the output must be a folder")
    if not (out / "config.toml").is_file():
        raise ConfigError(f"{out} is not empty and holds no run; choose another folder")
    if not resume:
        raise ConfigError(f"{out} holds another run; go on with it by --resume, or choose another folder")
    before, now = (dict(_flat(c.model_dump())) for c in (load(out / "config.toml"), config))
    for key in {**now, **before}:
        if before.get(key) != now.get(key) and key not in ("training.epochs", "output.folder"):
            raise ConfigError(f"cannot resume {out}: {key} was {before.get(key)!r} and is {now.get(key)!r} now")
    return checkpoint.latest(out / "checkpoints")


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield path + key, value


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _write(path: Path, text: str) -> None:
    partial_path = path.with_name(f".{path.name}.partial")
    partial_path.write_text(text, encoding="utf-8")
    os.replace(partial_path, path)


class OpenRun(NamedTuple):
    """A run read from its folder: its resolved config, what prepares inputs, and the run itself."""

    config: Config
    preprocess: dict[str, Any]
    run: Run


def open_run(folder: str | os.PathLike[str]) -> OpenRun:
    """The run that ``run`` left in ``folder``, ready to predict and evaluate.

    Raises:
      ConfigError: no such folder, or no run in it. CheckpointError: no checkpoint that can be read.
    """
    folder = Path(folder)
    if not (folder / "config.toml").is_file() or not (folder / "preprocess.json").is_file():
        raise ConfigError(f"{folder} holds no run: no config.toml and preprocess.json")
    config = load(folder / "config.toml")
    with _about(str(folder / "preprocess.json")):
        preprocess = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    loss = _registry.find(config.loss.name or "", "loss").function
    loss = partial(loss, **config.loss.options) if config.loss.options else loss
    loaded = runner.load_run(folder / "checkpoints", loss=loss, metrics=config.training.metrics)
    return OpenRun(config, preprocess, loaded)
