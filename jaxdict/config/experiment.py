"""From a config to what ``fit`` takes: data loaded and split, model, loss and optimizer made."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxdict import _check, _registry, layers, models
from jaxdict import data as data_room
from jaxdict._cache import constructor
from jaxdict.config.schema import (
    Config,
    ConfigError,
    DataSection,
    LayerSection,
    PenaltySection,
    ScheduleSection,
    TrainingSection,
    about,
    no_missing,
)
from jaxdict.data import Dataset
from jaxdict.layers import Model
from jaxdict.train import observers


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
    return assemble(config, load_parts(config.data))


class Parts(NamedTuple):
    """Data as a config wants it: split, and prepared as the training part needs it."""

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    preprocess: dict[str, Any]


def load_parts(section: DataSection) -> Parts:
    """Load, split and prepare the data; ConfigError where that cannot be."""
    with about("data"):
        whole, fingerprint = _load_data(section)
        train, validation, test = _split(section, whole)
        preprocess = _preprocess(section, train) | {"fingerprint": fingerprint}
        train = prepare(preprocess, train)
        validation, test = (None if part is None else prepare(preprocess, part) for part in (validation, test))
    return Parts(train, validation, test, preprocess)


def assemble(config: Config, parts: Parts) -> Experiment:
    """The experiment that a config describes, on data that is loaded; ConfigError as ``build``."""
    train, validation, test, preprocess = parts
    source = config.data.source
    if any(c in source for c in "./\\~"):
        source = os.path.abspath(os.path.expanduser(source))
    config = config.changed("data", source=source)
    config = config.changed("loss", name=config.loss.name or _LOSSES[train.task])
    if config.training.metrics is None:
        config = config.changed("training", metrics=_METRICS[train.task])
    loss = _registry.find(config.loss.name or "", "loss").function
    with about("model"):
        if config.model.kind == "mlp" and train.inputs.ndim != 2:
            raise ConfigError(f"data.flatten must be true for an mlp; the examples have {train.inputs.shape[1:]}")
        model = make_model(config, train.inputs.shape[-1], output_width(config, train))
        jax.eval_shape(lambda key: model.init(key, train.inputs.shape[1:])[:2], jax.random.key(0))  # that shapes fit
    config, optimizer = make_optimizer(config, steps_of(config, len(train)))
    return Experiment(
        config=config, train=train, validation=validation, test=test, model=model,
        loss=partial(loss, **config.loss.options) if config.loss.options else loss,
        optimizer=optimizer, penalty=_penalty(config.penalty),
        observers=_observers(config.training, held_out=validation is not None),
        class_weight=_class_weight(config.training.class_weight, train),
        preprocess=preprocess,
    )  # fmt: skip


def make_model(config: Config, inputs: int, outputs: int, **traced: Any) -> Model:
    """The model, from so many inputs to so many outputs; with numbers that no config can hold."""
    section = config.model
    if section.kind == "serial":
        made = [_make_layer(f"model.layers[{i}]", layer) for i, layer in enumerate(section.layers or ())]
        return models.serial(*made, layers.dense(outputs))
    options = section.model_dump(exclude={"kind", "hidden", "layers"}) | traced
    return models.mlp([inputs, *(section.hidden or ()), outputs], **options)


def _make_layer(name: str, section: LayerSection) -> Model:
    with about(name):
        return _registry.find(section.layer, "layer").function(**section.arguments)


def steps_of(config: Config, examples: int) -> int:
    """Optimizer steps of the run."""
    return -(-examples // min(config.training.batch_size, examples)) * config.training.epochs


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
    return dataclasses.replace(data, inputs=prepare_inputs(preprocess, data.inputs))


def prepare_inputs(preprocess: Mapping[str, Any], inputs: np.ndarray) -> np.ndarray:
    """Inputs ``(n, …)`` as the model takes them."""
    scale = preprocess["standardizer"]
    if scale is None:
        return inputs
    return data_room.Standardizer(np.asarray(scale["mean"]), np.asarray(scale["std"])).apply(inputs)


def output_width(config: Config, train: Dataset) -> int:
    """How many outputs the loss needs for these targets."""
    loss = _registry.find(config.loss.name or "", "loss").function
    name, (first, second) = loss.__name__, list(inspect.signature(loss).parameters)[:2]
    if train.task == "regression" and first != "logits":
        return 1 if train.targets.ndim == 1 else train.targets.shape[-1]
    if train.task != "regression" and second == "labels":
        return len(train.classes)
    if train.task == "binary" and first == "logits" and name != "softmax_cross_entropy":
        return 1
    raise ConfigError(
        f"loss.name: {name} does not suit the {train.task} task of {train.name}; try {_LOSSES[train.task]!r}"
    )


def make_optimizer(config: Config, steps: int) -> tuple[Config, Any]:
    """The config with its schedule spelled out, and the optimizer, clipped where it says so."""
    section = config.optimizer
    options, rate, schedule = section.options, section.learning_rate, section.schedule
    function = _registry.find(section.name, "optimizer").function
    if schedule is not None:
        table, options["learning_rate"] = _schedule("optimizer.schedule", schedule.model_dump(), rate, steps)
        config = config.changed("optimizer", learning_rate=None, schedule=ScheduleSection.model_validate(table))
    elif rate is not None:
        options["learning_rate"] = rate
    no_missing("optimizer", function, options)
    with about("optimizer"):
        made = function(**options)
        return config, made if section.clip_norm is None else _clipped(section.clip_norm, made)


_FIRST = ("schedule", "value", "peak_value", "max_value", "init_value")  # what a learning rate beside it is


def _schedule(section: str, table: Mapping[str, Any], rate: float | None, steps: float) -> tuple[dict[str, Any], Any]:
    """The table of a schedule with the rate and the length of the run where it leaves them open, and the schedule."""
    given = {name: value for name, value in table.items() if name != "name"}
    make = _registry.find(table["name"], "schedule").function
    takes, inner = inspect.signature(make).parameters, given.get("schedule")
    parts: dict[str, Any] = {}
    if isinstance(inner, Mapping):
        warm = given.get("warmup_steps")
        rest = steps - warm if isinstance(warm, (int, float)) else steps
        given["schedule"], parts["schedule"] = _schedule(f"{section}.schedule", inner, rate, rest)
    elif rate is not None:
        first = next((name for name in _FIRST if name in takes), None)
        if first is None or first in given:
            raise ConfigError("give optimizer.learning_rate or the values of optimizer.schedule, not both")
        given = {first: rate, **given}
    for length in {"decay_steps", "total_steps"} & set(takes):
        given.setdefault(length, steps)
    no_missing(section, make, given)
    with about(section):
        return {"name": table["name"], **given}, make(**given | parts)


@constructor
def _clipped(norm: float, optimizer: Any) -> Any:
    return optax.chain(optax.clip_by_global_norm(norm), optimizer)


def _observers(section: TrainingSection, *, held_out: bool) -> tuple[Any, ...]:
    made = []
    for name, make in (("early_stopping", observers.early_stopping), ("plateau", observers.plateau)):
        options = getattr(section, name)
        if options is None:
            continue
        if options.monitor.startswith("validation_") and not held_out:
            raise ConfigError(
                f"training.{name}.monitor is {options.monitor!r}, but data.validation_fraction is 0: "
                f"nothing is held out"
            )
        made.append(make(**options.model_dump()))
    return tuple(made)


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
            hint = _check.did_you_mean(name, train.classes)
            raise ConfigError(f"training.class_weight.{name}: no class of {train.name}; {hint}")
        weights[train.classes.index(name)] = float(weight)
    return weights
