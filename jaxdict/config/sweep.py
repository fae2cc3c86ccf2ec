"""A sweep: a config with a table of what to search over, run as lanes, and what is left of it in a folder."""

import copy
import functools
import math
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
from pydantic import Field, ValidationError

from jaxdict import _check, tune
from jaxdict._files import write_text
from jaxdict.config.experiment import (
    Parts,
    assemble,
    load_parts,
    make_model,
    make_optimizer,
    output_width,
    steps_of,
)
from jaxdict.config.schema import Config, ConfigError, Section, first_mistake, parse, read_table
from jaxdict.models import Model
from jaxdict.runner import intern
from jaxdict.tune import Candidate, Table

_Count = Annotated[int, Field(ge=1)]
# Floats of a config that are data of one program; all else that is searched over is a part of it.
_DATA = {"optimizer.learning_rate": "learning_rate", "model.dropout": "dropout", "penalty.strength": "strength"}


class SweepSection(Section):
    """The table ``[sweep]`` of a file."""

    method: Literal["grid", "random", "halving", "hyperband"] = "random"
    candidates: _Count = 20
    folds: Annotated[int, Field(ge=2)] | None = None
    seeds: _Count = 1
    monitor: str = "auto"
    mode: Literal["min", "max"] | None = None
    min_epochs: _Count = 1
    factor: Annotated[int, Field(ge=2)] = 3
    space: dict[str, Any]


class Sweep(NamedTuple):
    """A sweep that was read: what stays the same, the table of it, and what is searched over, by ``section.key``."""

    config: Config
    table: dict[str, Any]
    section: SweepSection
    space: dict[str, Any]

    @property
    def trials(self) -> int | None:
        """How many runs there will be, None where that depends on scores."""
        if self.section.method in ("halving", "hyperband"):
            return None
        return len(_candidates(self)) * (self.section.folds or 1) * self.section.seeds

    def config_of(self, candidate: Mapping[str, Any]) -> Config:
        """The config with a candidate's choices; ConfigError where they do not fit."""
        table = copy.deepcopy(self.table)
        for key, value in candidate.items():
            *path, last = key.split(".")
            inner = table
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = list(value) if isinstance(value, tuple) else value
        return parse(table)


def load_sweep(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Sweep:
    """The sweep in a TOML file: a config, and a table ``[sweep]`` with a table ``[sweep.space]``.

    Args:
      path: the file. overrides: as in ``load``.

    Returns:
      The Sweep; every value of the space has been tried on the config.

    Raises:
      ConfigError: as ``load``; no such table, a key that a config does not have, a value that it does not allow.
    """
    table = read_table(path, list(overrides))
    given = table.pop("sweep", None)
    if not isinstance(given, Mapping) or not given.get("space"):
        raise ConfigError(f'{path}: a sweep needs a table [sweep.space], such as "optimizer.learning_rate" = [1e-3]')
    try:
        section = SweepSection.model_validate(given)
    except ValidationError as error:
        raise ConfigError(f"sweep.{first_mistake(error)}") from None
    space = {}
    for key, value in _flat(section.space):
        try:
            space[key] = _values(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"sweep.space: {key}: {error}") from error
    sweep = Sweep(parse(table), table, section, space)
    for key, values in space.items():
        tried = values.values if isinstance(values, tune.Choices) else (_first(values), values.high)
        for value in tried:
            sweep.config_of({key: value})
    if section.method == "grid":
        _candidates(sweep)
    return sweep


def _flat(space: Mapping[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    """Dotted keys and values, from tables in tables or from keys in quotes."""
    for key, value in space.items():
        if isinstance(value, Mapping) and not {"low", "high"} & set(value):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _values(given: Any) -> tune.Choices | tune.Interval:
    if not isinstance(given, Mapping):
        return tune.choice(given if isinstance(given, list) else [given])
    for name in given:
        _check.one_of("a key of an interval", name, ["low", "high", "log"])
    if not {"low", "high"} <= set(given):
        raise ValueError("an interval needs low and high")
    low, high, log = given["low"], given["high"], bool(given.get("log", False))
    if isinstance(low, int) and isinstance(high, int):
        return tune.integer(low, high, log=log)
    return (tune.log_uniform if log else tune.uniform)(float(low), float(high))


def _first(values: tune.Choices | tune.Interval) -> Any:
    if isinstance(values, tune.Choices):
        return values.values[0]
    return int(values.low) if values.whole else values.low


def _candidates(sweep: Sweep) -> list[Candidate]:
    section = sweep.section
    if section.method == "grid":
        try:
            return tune.grid(sweep.space)
        except ValueError as error:
            raise ConfigError(f"sweep.space: {error}") from error
    return tune.random(sweep.space, section.candidates, key=jax.random.key(sweep.config.training.seed))


def run_sweep(
    sweep: Sweep, out: str | os.PathLike[str], *, resume: bool = False,
    on_record: Callable[[dict[str, Any]], Any] | None = None,
) -> Table:  # fmt: skip
    """Run a sweep and leave everything in a folder.

    It holds records.jsonl, table.csv, table.json, search.png, and best.toml: the config of the best candidate.

    Args:
      sweep: as read. out: the folder; made once the data is loaded and all is checked.
      resume: go on with what the folder has on record. on_record: called with each trial's record.

    Returns:
      The Table, best first.

    Raises:
      ConfigError: data or options that cannot be used, a folder that holds something; nothing is written.
    """
    config, section, out = sweep.config, sweep.section, Path(out)
    records = out / "records.jsonl"
    if out.exists() and any(out.iterdir()) and not (resume and records.exists()):
        what = "holds no sweep to go on with" if resume else "is not empty; give --resume to go on, or another folder"
        raise ConfigError(f"{out} {what}")
    if section.folds is not None:  # all but the test part is held out once
        config = config.changed("data", validation_fraction=0.0)
    parts = load_parts(config.data)
    validation = parts.validation
    if section.folds is not None:
        parts = parts._replace(validation=parts.train)  # there will be some
    first = {key: _first(values) for key, values in sweep.space.items()}
    experiment = assemble(sweep.config_of(first), parts)
    shared: dict[str, Any] = {
        "key": config.training.seed, "epochs": config.training.epochs, "folds": section.folds, "seeds": section.seeds,
        "monitor": section.monitor, "mode": section.mode, "records": records, "on_record": on_record,
        "metrics": experiment.config.training.metrics, "build": partial(_choices, sweep, parts),
    }  # fmt: skip
    if validation is not None:
        shared["validation"] = (validation.inputs, validation.targets)
    arguments = (experiment.model, experiment.loss, experiment.optimizer, parts.train)
    halving: dict[str, Any] = {"factor": section.factor}
    try:
        if section.method == "halving":
            halving["min_epochs"] = section.min_epochs
            table = tune.successive_halving(*arguments, _candidates(sweep), **shared, **halving)
        elif section.method == "hyperband":
            table = tune.hyperband(*arguments, sweep.space, **shared, **halving)
        else:
            table = tune.search(*arguments, _candidates(sweep), **shared)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(str(error.args[0] if error.args else error)) from error
    if len(table):
        table.to_csv(out / "table.csv")
        table.to_json(out / "table.json")
        table.plot(out / "search.png")
        if not math.isnan(table[0].score):
            write_text(out / "best.toml", sweep.config_of(table.best).to_toml())
    return table


def _choices(sweep: Sweep, parts: Parts, candidate: Candidate) -> Candidate:
    """What a candidate means to ``tune``: arguments of ``fit``, equal where they are made alike, and floats as data."""
    data = {_DATA[key]: float(value) for key, value in candidate.items() if key in _DATA}
    config = sweep.config_of(candidate)
    made = assemble(config, parts)
    text = sweep.config_of({key: value for key, value in candidate.items() if key not in _DATA}).to_toml()
    model, optimizer, penalty = made.model, made.optimizer, made.penalty
    if "dropout" in data:
        model = partial(_model, text, parts.train.inputs.shape[-1], output_width(made.config, parts.train))
    if "learning_rate" in data:
        optimizer = partial(_optimizer, text, steps_of(config, len(parts.train)))
    if "strength" in data and isinstance(penalty, partial):
        penalty = partial(penalty.func, **{name: v for name, v in penalty.keywords.items() if name != "strength"})
    training = config.training
    return data | {
        "model": intern(model), "optimizer": intern(optimizer), "penalty": intern(penalty), "loss": intern(made.loss),
        "observers": made.observers, "class_weight": made.class_weight, "batch_size": training.batch_size,
        "precision": training.precision, "accumulation": training.accumulation,
    }  # fmt: skip


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Config:
    return parse(tomllib.loads(text))


# Functions of the text, which has a hash, so that equal ones share a compiled program.


def _model(text: str, inputs: int, outputs: int, *, dropout: Any) -> Model:
    return make_model(_parsed(text), inputs, outputs, dropout=dropout)


def _optimizer(text: str, steps: int, *, learning_rate: Any) -> Any:
    return make_optimizer(_parsed(text).changed("optimizer", learning_rate=learning_rate), steps)[1]
