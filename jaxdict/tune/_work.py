"""The work of a search: what its trials share, and how any number of them is run as lanes."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxdict import _check, _registry
from jaxdict import data as data_room
from jaxdict.lanes import fit_lanes, mode_of
from jaxdict.run import Run
from jaxdict.runner import is_builder, pair
from jaxdict.train import observers as observers_room
from jaxdict.train.segment import matching
from jaxdict.tune._plain import plain
from jaxdict.tune._records import Record, Records, Trial, trial_of
from jaxdict.tune._space import Candidate

# What a candidate may choose of the arguments of `fit`; all other names are hyperparameters.
_CHOSEN = (
    "model", "loss", "optimizer", "penalty", "augment", "batch_size", "class_weight", "weight_normalization", "metrics",
    "observers", "precision", "accumulation",
)  # fmt: skip
_BUILDERS = (("model", 0), ("optimizer", 0), ("loss", 2), ("penalty", 1))  # and how many arguments are not theirs
# By the search itself.
_GIVEN = ("keys", "epochs", "data", "indices", "validation_indices", "resume", "on_end", "part_of")


class Work:
    """A search's data, folds, keys and judge."""

    def __init__(
        self, model: Any, loss: Any, optimizer: Any, data: Any, *, key: Any, epochs: int, folds: Any = None,
        monitor: str = "auto", mode: str | None = None, records: Any = None, part: tuple[int, int] = (0, 1),
        on_record: Callable[[Record], Any] | None = None, keep: bool = False, options: Mapping[str, Any],
    ):  # fmt: skip
        allowed = [name for name in inspect.signature(fit_lanes).parameters if name not in _GIVEN]
        self.build = options.get("build") or dict
        options = {name: value for name, value in options.items() if name != "build"}
        for name in options:
            if name not in allowed:
                raise TypeError(f"a search has no argument {name!r}; {_check.did_you_mean(name, allowed)}")
        self.epochs = _check.integer("epochs", epochs, low=1)
        self.key = _check.prng_key(key)
        self.part = _part(part)
        self.on_record = on_record
        self.options: dict[str, Any] = {"model": model, "loss": loss, "optimizer": optimizer} | dict(options)
        self.numbers = dict(self.options.pop("hyperparameters", None) or {})
        self.data, self.folds = self._split(pair(data), folds)
        validated = self.folds[0] is not None or self.options.get("validation") is not None
        self.monitor = ("validation_loss" if validated else "loss") if monitor == "auto" else monitor
        self.mode = mode_of(self.monitor, mode)
        self.candidates: dict[int, Candidate] = {}
        self.choices: dict[int, Candidate] = {}  # what `build` made of them
        self.keep = keep
        self.runs: dict[Trial, Run] = {}  # of this process, where they are kept for what goes on from them
        self.seconds, self.compiles, self.interrupted = 0.0, 0, False
        self.records = Records(records, self._identity())
        self.done: dict[tuple[Trial, int], Record] = {(trial_of(r), r["budget"]): r for r in self.records.held}

    def _split(self, data: Any, folds: Any) -> tuple[Any, list[Any]]:
        """The data, and the folds: pairs of positions, or None alone for all of it."""
        if not isinstance(data, tuple) or len(data) != 2:
            raise TypeError("a search needs (inputs, targets) or a Dataset")
        data = data_room.check(*data)
        fraction = self.options.get("validation")
        if folds is None:
            if isinstance(fraction, float):  # held out here, that all trials have the same
                data, self.options["validation"] = data_room.split(data, fraction, key=self.key)
            return data, [None]
        if fraction is not None:
            raise ValueError("give validation or folds, not both")
        if hasattr(folds, "split"):  # scikit-learn's
            return data, list(folds.split(*data))
        if isinstance(folds, (int, np.integer)):
            return data, data_room.folds(data, int(folds), key=self.key)
        found = [tuple(np.asarray(part) for part in fold) for fold in folds]
        if not found or any(len(fold) != 2 for fold in found):
            raise ValueError("folds must be a number, or pairs (positions to train on, positions held out)")
        return data, found

    def _identity(self) -> Record:
        """By what records are known to be of this search."""
        folds = None if self.folds[0] is None else [data_room.fingerprint(fold) for fold in self.folds]
        return {
            "kind": "search", "key": np.asarray(jax.random.key_data(self.key)).tolist(), "folds": folds,
            "data": data_room.fingerprint(self.data), "monitor": self.monitor, "mode": self.mode,
            "options": plain({n: v for n, v in self.options.items() if n not in ("width", "workers", "devices")}),
            "hyperparameters": plain(self.numbers),
        }  # fmt: skip

    def trials(self, candidates: Iterable[int], seeds: int) -> list[Trial]:
        """All trials of some candidates, by candidate."""
        return [Trial(c, fold, seed) for c in candidates for fold in range(len(self.folds)) for seed in range(seeds)]

    def run(self, trials: Sequence[Trial], epochs: int) -> None:
        """Run what is not on record of ``trials`` to ``epochs`` in all, and of this process's part."""
        number, count = self.part
        groups: list[tuple[Candidate, list[Trial]]] = []
        for trial in trials:
            shared = self._shared(self.choices[trial.candidate])
            group = next((members for known, members in groups if _same(known, shared)), None)
            if group is None:
                groups.append((shared, group := []))
            group.append(trial)
        for _, members in groups:
            wanted = [t for t in members if (t, epochs) not in self.done and t.candidate % count == number]
            if wanted and not self.interrupted:
                self._lanes(wanted, epochs, len(members))

    def _lanes(self, trials: Sequence[Trial], epochs: int, part_of: int) -> None:
        """Run trials of one program, of so many in all."""
        arguments: dict[str, Any] = self._arguments(self.choices[trials[0].candidate])
        numbers = [self._numbers(self.choices[t.candidate]) for t in trials]
        folds = [self.folds[t.fold] for t in trials]
        held = (
            {} if folds[0] is None else {"indices": [f[0] for f in folds], "validation_indices": [f[1] for f in folds]}
        )
        judge = observers_room.best(monitor=self.monitor, mode=self.mode)
        arguments["observers"] = (*arguments.get("observers", ()), judge)

        def on_end(lane: int, run: Run) -> None:
            if run.result != "interrupted":
                self._record(trials[lane], epochs, run)

        arguments |= held | {
            "data": self.data, "epochs": epochs, "part_of": part_of, "on_end": on_end,
            "keys": [self.key_of(t.seed) for t in trials],
            "hyperparameters": {name: [of_one[name] for of_one in numbers] for name in numbers[0]},
            "resume": [self.runs.get(t) for t in trials],
        }  # fmt: skip
        runs = fit_lanes(**arguments)
        self.seconds += runs.seconds
        self.compiles += runs.compiles
        self.interrupted = any(run.result == "interrupted" for run in runs)
        if self.keep:
            self.runs.update(zip(trials, runs, strict=True))

    def key_of(self, seed: int) -> jax.Array:
        """The key that the runs of a seed start from."""
        return jax.random.fold_in(self.key, seed)

    def _numbers(self, candidate: Candidate) -> dict[str, float]:
        return self.numbers | {n: float(v) for n, v in candidate.items() if n not in _CHOSEN and _is_data(v)}

    def _shared(self, candidate: Candidate) -> Candidate:
        """What candidates must have in common to be lanes of one program: all choices but floats, which are data."""
        return {name: None if name not in _CHOSEN and _is_data(v) else v for name, v in sorted(candidate.items())}

    def _arguments(self, candidate: Candidate) -> dict[str, Any]:
        """The arguments of ``fit``, with what a candidate chooses, but for its floats."""
        arguments = self.options | {n: v for n, v in candidate.items() if n in _CHOSEN}
        static = {n: v for n, v in candidate.items() if n not in _CHOSEN and not _is_data(v)}
        arguments["optimizer"] = _registry.function(arguments["optimizer"], "optimizer")
        arguments["loss"] = _registry.function(arguments["loss"], "loss")
        unused = dict(static)
        for name, skip in _BUILDERS:
            function = arguments.get(name)
            if callable(function) and (name != "model" or is_builder(function)) and not hasattr(function, "update"):
                bound = matching(function, static, skip=skip)
                unused = {n: v for n, v in unused.items() if n not in bound}
                arguments[name] = partial(function, **bound) if bound else function
        for name in unused:
            raise ValueError(
                f"nothing takes the choice {name!r}: give a function with an argument of that name as model, loss, "
                f"optimizer or penalty; {_check.did_you_mean(name, _CHOSEN)}"
            )
        return arguments

    def _record(self, trial: Trial, budget: int, run: Run) -> None:
        curve = run.history[self.monitor]
        finite = np.isfinite(curve)
        good = run.result != "diverged" and bool(finite.any())
        sign = 1 if self.mode == "min" else -1
        at = int(np.argmin(np.where(finite, sign * curve, np.inf))) if good else len(curve) - 1
        record = trial._asdict() | {
            "budget": budget,
            "parameters": plain(self.candidates[trial.candidate]),
            "score": float(curve[at]) if good else None,
            "epoch": at + 1,
            "epochs": run.epoch,
            "result": run.result,
            "seconds": float(np.sum(run.history["seconds"])),
            "curve": [float(f"{value:.6g}") if math.isfinite(value) else None for value in curve],
        }
        self.records.add(record)
        self.done[trial, budget] = record
        if self.on_record is not None:
            self.on_record(record)

    def add(self, candidates: Iterable[Candidate]) -> list[int]:
        """Number candidates, after those before; ValueError where the records have others of these numbers."""
        numbers = []
        recorded = {record["candidate"]: record["parameters"] for record in self.done.values()}
        for candidate in candidates:
            number = len(self.candidates)
            if not isinstance(candidate, Mapping):
                raise TypeError(f"candidate {number} must be a dict of choices by name; got {type(candidate).__name__}")
            if recorded.get(number, plain(candidate)) != plain(candidate):
                raise ValueError(
                    f"{self.records.path} holds another search: candidate {number} was {recorded[number]} and is "
                    f"{plain(candidate)} now"
                )
            self.candidates[number], self.choices[number] = dict(candidate), self.build(candidate)
            numbers.append(number)
        return numbers

    def score(self, candidate: int, budget: int) -> float:
        """The mean score of a candidate's trials, NaN where one diverged or is not on record."""
        scores = [r["score"] for (t, b), r in self.done.items() if t.candidate == candidate and b == budget]
        return float(np.mean([math.nan if s is None else s for s in scores])) if scores else math.nan


def _same(a: Candidate, b: Candidate) -> bool:
    """Whether choices are equal, those that have no plain equality, such as arrays, when they are one object."""
    return a.keys() == b.keys() and all(
        x is y or (type(x) is type(y) and not hasattr(x, "dtype") and x == y)
        for x, y in zip(a.values(), b.values(), strict=True)
    )


def _is_data(value: Any) -> bool:
    return isinstance(value, (float, np.floating))


def _part(part: Any) -> tuple[int, int]:
    number, count = part
    if not 0 <= _check.integer("part", number) < _check.integer("part", count):
        raise ValueError(f"part must be (number, count), 0 <= number < count; got {part!r}")
    return int(number), int(count)
