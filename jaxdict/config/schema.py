"""What a config may hold, and its checks: a mistake is one line that names the key, the value and what is allowed."""

import contextlib
import inspect
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jaxdict import (
    _check,
    _registry,
    activations,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    penalties,
    schedules,
)

_ROOMS = (
    activations,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    penalties,
    schedules,
)  # entries are found by name


class ConfigError(ValueError):
    """A config, or data, that cannot be trained with: one line for the person who wrote it."""


# --- what a config may hold -------------------------------------------------------------------------------------------


class Section(BaseModel):
    """A table of a config: its keys and no others, of their types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Named(Section):
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


class DataSection(Section):
    source: str
    target: str | None = None
    task: Literal["multiclass", "binary", "regression"] | None = None
    test_fraction: _Fraction = 0.2
    validation_fraction: _Fraction = 0.1
    seed: _Seed = 0
    standardize: bool = False
    flatten: bool = True


class LayerSection(Section):
    """A layer by its constructor's name, and its arguments."""

    model_config = ConfigDict(extra="allow")

    layer: str

    @property
    def arguments(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ModelSection(Section):
    """An mlp of so many hidden units, or layers one after another; the layer of outputs is added to both."""

    kind: Literal["mlp", "serial"] = "mlp"
    layers: Annotated[list[LayerSection], Field(min_length=1)] | None = None
    hidden: list[_Count] | None = None
    activation: str | None = None
    dropout: _Fraction | None = None
    batch_norm: Literal["before", "after"] | None = None
    initializer: str | None = None


_MLP: dict[str, Any] = {"hidden": [128, 64], "activation": "relu", "dropout": 0.0}  # where they are left open


class LossSection(_Named):
    name: str | None = None


class ScheduleSection(_Named):
    name: str


class OptimizerSection(_Named):
    name: str = "adam"
    learning_rate: _Positive | None = None
    clip_norm: _Positive | None = None
    schedule: ScheduleSection | None = None


class PenaltySection(Section):
    name: str
    strength: _NotNegative
    alpha: Annotated[float, Field(ge=0, le=1)] | None = None
    mask: str | None = None


class EarlyStoppingSection(Section):
    monitor: str = "validation_loss"
    mode: Literal["min", "max"] = "min"
    patience: _Count = 10
    min_delta: _NotNegative = 0.0
    restore_best: bool = True


class PlateauSection(Section):
    monitor: str = "auto"
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    mode: Literal["min", "max"] = "min"
    rtol: _Fraction = 1e-4
    atol: _NotNegative = 0.0
    relative_to: Literal["magnitude", "value"] = "magnitude"
    reduce_when: Literal["reached", "exceeded"] = "reached"
    cooldown: Annotated[int, Field(ge=0)] = 0
    cooldown_counts_last: bool = False
    min_scale: _NotNegative = 0.0
    min_reduction: _NotNegative = 0.0


class TrainingSection(Section):
    epochs: _Count = 30
    batch_size: _Count = 32
    seed: _Seed = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    accumulation: _Count = 1
    class_weight: Any = None
    metrics: list[str] | None = None
    segment_epochs: _Count | None = None
    early_stopping: EarlyStoppingSection | None = None
    plateau: PlateauSection | None = None
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


class OutputSection(Section):
    folder: str | None = None
    checkpoint_seconds: _Positive = 2.0
    keep: _Count = 3
    tensorboard: bool = True
    curves: bool = True


class Config(Section):
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
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_toml_key(key)} = {_toml_value(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        if any(isinstance(inner, Mapping) for inner in value):
            return "".join(["[\n", *(f"  {_toml_value(inner)},\n" for inner in value), "]"])
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
    return parse(read_table(path, overrides))


def read_table(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The sections of a TOML file, unchecked, with the overrides; see ``load``."""
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {'no such file' if not path.exists() else error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    return table


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
        raise ConfigError(first_mistake(error)) from None
    return _with_names(config)


_TYPES = {
    "int": "a whole number", "float": "a number", "finite_number": "a finite number", "string": "a string",
    "bool": "true or false", "list": "an array", "model": "a table", "dict": "a table",
}  # fmt: skip
_SIGNS = {"greater_than_equal": "ge", "greater_than": "gt", "less_than_equal": "le", "less_than": "lt"}
_BOUNDS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def first_mistake(error: ValidationError) -> str:
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
        return f"{key} must be {_BOUNDS[sign]} {context[sign]:g}; got {given!r}"
    if kind == "too_short":
        return f"{key} must hold one or more; got {given!r}"
    if kind == "literal_error":
        return f"{key} must be {context['expected']}; got {given!r}"
    if kind == "value_error":
        return f"{key} must be {context['error']}; got {given!r}"
    stem = kind if kind in _TYPES else kind.split("_")[0]
    return f"{key} must be {_TYPES.get(stem, mistake['msg'])}; got {given!r}"


def _known_keys(section: type[BaseModel], path: str = "") -> list[str]:
    """Every key that a config may hold, dotted."""
    keys: list[str] = []
    for name, field in section.model_fields.items():
        keys.append(path + name)
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if inspect.isclass(inner) and issubclass(inner, BaseModel):
                keys += _known_keys(inner, f"{path}{name}.")
    return keys


def _unknown_key(key: str, known: Iterable[str], what: str = "key of a config") -> str:
    """The key, and the closest: in its own section, elsewhere by its last part, or anywhere."""
    known = list(known)
    section, _, last = key.rpartition(".")
    beside = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == section}
    namesakes = [k for k in known if _check.fold(k.rpartition(".")[2]) == _check.fold(last)]
    close = [beside[name] for name in _check.closest(last, beside)] or namesakes
    if not close and not beside:
        close = _check.closest(key, known)
    if close:
        return f"{key} is no {what}; did you mean {' or '.join(map(repr, close[:2]))}?"
    return f"{key} is no {what}; {section or 'a config'} holds {', '.join(sorted(beside)) or 'none'}"


def _entry(key: str, name: str, kind: str) -> Any:
    try:
        return _registry.find(name, kind)
    except _registry.UnknownName as error:
        raise ConfigError(f"{key}: {error}") from None


def _with_names(config: Config) -> Config:
    """The config with the dictionary's own names in place of aliases, and options that are known."""
    loss, optimizer, penalty = config.loss, config.optimizer, config.penalty
    config = config.changed("model", **_named_model(config.model))
    if loss.name is not None:
        entry = _entry("loss.name", loss.name, "loss")
        _known_options("loss", entry, loss.options, skip=2)
        config = config.changed("loss", name=entry.name)
    elif loss.options:
        raise ConfigError(f"loss.name is missing; loss.{next(iter(loss.options))} is an option of a named loss")
    entry = _entry("optimizer.name", optimizer.name, "optimizer")
    _known_options("optimizer", entry, optimizer.options, skip=1, also=list(OptimizerSection.model_fields))
    config = config.changed("optimizer", name=entry.name, schedule=_named_schedule(optimizer))
    if penalty is not None:
        entry = _entry("penalty.name", penalty.name, "penalty")
        given = {n: v for n, v in penalty.model_dump(exclude={"name"}).items() if v is not None}
        _known_options("penalty", entry, given, skip=1)
        no_missing("penalty", entry.function, given, skip=1)
        config = config.changed("penalty", name=entry.name)
    if config.training.metrics is not None:
        config = config.changed("training", metrics=[_metric_name(name) for name in config.training.metrics])
    return config


def _named_model(model: ModelSection) -> dict[str, Any]:
    """What a model's section says, with the dictionary's own names, and what is left open."""
    given = model.model_dump(exclude={"kind", "layers"}, exclude_none=True)
    if model.kind == "serial":
        if given:
            raise ConfigError(f"model.{next(iter(given))} is of an mlp; a serial model holds kind and layers")
        if model.layers is None:
            raise ConfigError('model.layers is missing; such as [{layer = "conv", features = 8, kernel_size = [3, 3]}]')
        return {"layers": [_named_layer(f"model.layers[{i}]", layer) for i, layer in enumerate(model.layers)]}
    if model.layers is not None:
        raise ConfigError('model.layers is of a serial model; give model.kind = "serial" too')
    given = {**_MLP, **given}
    for name, kind in (("activation", "activation"), ("initializer", "initializer")):
        if name in given:
            given[name] = _entry(f"model.{name}", given[name], kind).name
    return given


def _named_layer(section: str, layer: LayerSection) -> LayerSection:
    entry = _entry(f"{section}.layer", layer.layer, "layer")
    takes = inspect.signature(entry.function).parameters.values()
    if all(p.kind is not p.VAR_KEYWORD for p in takes):
        _known_options(section, entry, layer.arguments, but=())
    no_missing(section, entry.function, [*layer.arguments, *(p.name for p in takes if p.kind is p.VAR_KEYWORD)])
    return layer.model_copy(update={"layer": entry.name})


def _metric_name(name: str) -> str:
    try:
        return metrics.name_of(name)
    except KeyError as error:
        raise ConfigError(f"training.metrics: {error}") from None


def _named_schedule(optimizer: OptimizerSection) -> ScheduleSection | None:
    schedule = optimizer.schedule
    if schedule is None:
        return None
    options = _named_options("optimizer.schedule", schedule.model_dump())
    takes = inspect.signature(_registry.find(options["name"], "schedule").function).parameters
    begins = "init_value" in schedule.options and "schedule" not in takes  # a warm-up's is not the rate
    if optimizer.learning_rate is not None and begins:
        raise ConfigError("give optimizer.learning_rate or optimizer.schedule.init_value, not both")
    return ScheduleSection.model_validate(options)


def _named_options(section: str, schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule's table with the dictionary's own name, and so the schedule in it that a warm-up goes before."""
    if not isinstance(schedule.get("name"), str):
        raise ConfigError(f"{section}.name must be a string; got {schedule.get('name')!r}")
    options = dict(schedule)
    entry = _entry(f"{section}.name", options.pop("name"), "schedule")
    _known_options(section, entry, options)
    if isinstance(options.get("schedule"), Mapping):
        options["schedule"] = _named_options(f"{section}.schedule", options["schedule"])
    return {"name": entry.name, **options}


_ARRAYS = ("axis", "where")  # how arrays lie, which a file does not say


def _known_options(
    section: str,
    entry: Any,
    given: Iterable[str],
    skip: int = 0,
    also: Sequence[str] = (),
    but: Sequence[str] = _ARRAYS,
) -> None:
    parameters = list(inspect.signature(entry.function).parameters)[skip:]
    known = [f"{section}.{name}" for name in (*parameters, *also) if name not in but]
    for name in given:
        if f"{section}.{name}" not in known:
            raise ConfigError(_unknown_key(f"{section}.{name}", known, f"option of {entry.name}"))


def no_missing(section: str, function: Callable[..., Any], given: Iterable[str], *, skip: int = 0) -> None:
    """A ConfigError for the first argument of ``function``, after ``skip``, that has no default and is not given."""
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.default is parameter.empty and parameter.name not in given:
            raise ConfigError(f"{section}.{parameter.name} is missing; {function.__name__} needs it")


@contextlib.contextmanager
def about(section: str) -> Iterator[None]:
    """What goes wrong inside is a mistake in ``section`` of the config."""
    try:
        yield
    except ConfigError:
        raise
    except (ValueError, TypeError, KeyError, OSError, ModuleNotFoundError) as error:
        dot = "." if re.match(r"\w+ must ", str(error)) else ": "  # a message that begins with the option's name
        raise ConfigError(f"{section}{dot}{error}") from error
