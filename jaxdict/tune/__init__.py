"""Search: candidates, folds and seeds are lanes of one program; what is found is a table."""

import math
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdict import _check
from jaxdict.tune._progress import progress
from jaxdict.tune._records import Record
from jaxdict.tune._space import Candidate, Choices, Interval, choice, grid, integer, log_uniform, random, uniform
from jaxdict.tune._table import Row, Table, load
from jaxdict.tune._work import Work

__all__ = [
    "Choices", "Interval", "Nested", "Row", "Table", "choice", "cross_validate", "grid", "hyperband", "integer", "load",
    "log_uniform", "nested", "progress", "random", "search", "successive_halving", "uniform",
]  # fmt: skip

Candidates = Iterable[Candidate] | Generator[Iterable[Candidate], list[float], None]


def search(
    model: Any, loss: Any, optimizer: Any, data: Any, candidates: Candidates, *, key: Any, epochs: int,
    folds: Any = None, seeds: int = 1, monitor: str = "auto", mode: str | None = None, records: Any = None,
    part: tuple[int, int] = (0, 1), on_record: Callable[[Record], Any] | None = None, **options: Any,
) -> Table:  # fmt: skip
    """Train every candidate, on every fold and from every seed, as lanes.

    Candidates are dicts. What they choose is, by its name, an argument of ``fit`` (``model``, ``loss``, ``optimizer``,
    ``penalty``, ``augment``, ``batch_size``, ``observers`` …), or a hyperparameter of the functions that are given as
    these. Floats are data: candidates that differ in floats alone are lanes of one program. All other choices, such as
    widths and names, are a part of the program, of which each is compiled once.

    Args:
      model, loss, optimizer, data: as in ``fit``, functions of what candidates choose; data ``(inputs, targets)``.
      candidates: dicts, as `grid` and `random` give; or a generator that yields lists of them and is sent the list of
        their scores after each, so that it can propose better ones.
      key: a PRNG key or an int seed; the runs of seed s start from ``jax.random.fold_in(key, s)``. epochs: of each run.
      folds: for cross-validation: a number (stratified where targets are labels), pairs of positions (to train on, held
        out), or a splitter of scikit-learn. None: ``validation``, as in ``fit``, is the same for all.
      seeds: how many runs a candidate and fold.
      monitor, mode: the column that is judged by, and whether "min" or "max" of it is better; the score is the best
        epoch's. "auto": the validation loss, or the loss where there is no validation.
      records: a file to keep the trials in, one JSON line each; what is on record is not run again, so that a search
        that was broken off ends with the same table.
      part: ``(number, count)``: run every count-th candidate from that number on, as one of several processes. Each has
        a file of records of its own, and `load` makes one table of them.
      on_record: called with each record, when its trial has ended.
      **options: all else that ``fit_lanes`` takes: ``validation``, ``batch_size``, ``metrics``, ``width`` …; and
        ``build``, a function that makes of a candidate, in words of your own, one in the words above.

    Returns:
      The Table, best first. Ctrl-C ends the search with what was done.

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, a choice that nothing takes, records of another
      search; before anything is run of the program that it concerns.
    """
    work = Work(
        model, loss, optimizer, data, key=key, epochs=epochs, folds=folds, monitor=monitor, mode=mode, records=records,
        part=part, on_record=on_record, options=options,
    )  # fmt: skip
    _check.integer("seeds", seeds, low=1)
    if isinstance(candidates, Generator):
        scores = None
        while not work.interrupted:
            try:
                proposed: Any = next(candidates) if scores is None else candidates.send(scores)
            except StopIteration:
                break
            scores = [work.score(n, epochs) for n in _run(work, proposed, epochs, seeds)]
    else:
        _run(work, candidates, epochs, seeds)
    return _table(work)


def cross_validate(
    model: Any, loss: Any, optimizer: Any, data: Any, *, key: Any, epochs: int, folds: Any = 5, **options: Any
) -> Table:
    """Cross-validation of one candidate: `search` with none but it, and so one row, with a score for each fold.

    Args:
      model, loss, optimizer, data, key, epochs, folds, **options: as in `search`.

    Returns:
      A Table of one row: ``table[0].score``, ``.std``, ``.scores``.

    Raises:
      ValueError, TypeError, KeyError: as `search`.
    """
    return search(model, loss, optimizer, data, [{}], key=key, epochs=epochs, folds=folds, **options)


def successive_halving(
    model: Any, loss: Any, optimizer: Any, data: Any, candidates: Iterable[Candidate], *, key: Any, epochs: int,
    min_epochs: int = 1, factor: int = 3, folds: Any = None, seeds: int = 1, monitor: str = "auto",
    mode: str | None = None, records: Any = None, on_record: Callable[[Record], Any] | None = None, **options: Any,
) -> Table:  # fmt: skip
    """Successive halving: all candidates get few epochs, the best 1/``factor`` go on to ``factor`` times as many, ….

    What goes on does so where it stopped: each run has the bits of one that was never looked at.

    Args:
      model, loss, optimizer, data, candidates, key, folds, seeds, monitor, mode, records, on_record, **options: as in
        `search`.
      epochs: of the last round. min_epochs: of the first. factor: of the epochs, and the part of the candidates.

    Returns:
      The Table: those that got the most epochs first.

    Raises:
      ValueError, TypeError, KeyError: as `search`; ``factor`` below 2, ``min_epochs`` above ``epochs``.
    """
    work = Work(
        model, loss, optimizer, data, key=key, epochs=epochs, folds=folds, monitor=monitor, mode=mode, records=records,
        on_record=on_record, keep=True, options=options,
    )  # fmt: skip
    _halve(work, candidates, min_epochs, factor, seeds)
    return _table(work)


def hyperband(
    model: Any, loss: Any, optimizer: Any, data: Any, space: Any, *, key: Any, epochs: int, factor: int = 3,
    folds: Any = None, seeds: int = 1, monitor: str = "auto", mode: str | None = None, records: Any = None,
    on_record: Callable[[Record], Any] | None = None, **options: Any,
) -> Table:  # fmt: skip
    """Hyperband (Li et al. 2018, JMLR 18:185): successive halving from many candidates with few epochs to few with all.

    With s from the largest whole number such that ``factor**s <= epochs`` down to 0, ``ceil((s_max + 1)/(s + 1) *
    factor**s)`` random candidates of ``space`` start with ``epochs/factor**s`` epochs.

    Args:
      model, loss, optimizer, data, key, epochs, folds, seeds, monitor, mode, records, on_record, **options: as in
        `search`. space: as `random` takes it. factor: as in `successive_halving`.

    Returns:
      The Table of all candidates.

    Raises:
      ValueError, TypeError, KeyError: as `search`.
    """
    work = Work(
        model, loss, optimizer, data, key=key, epochs=epochs, folds=folds, monitor=monitor, mode=mode, records=records,
        on_record=on_record, keep=True, options=options,
    )  # fmt: skip
    _check.integer("factor", factor, low=2)
    most = 0
    while factor ** (most + 1) <= epochs:
        most += 1
    for s in range(most, -1, -1):
        count = math.ceil((most + 1) / (s + 1) * factor**s)
        drawn = random(space, count, key=jax.random.fold_in(jax.random.fold_in(work.key, 2**31), s))
        _halve(work, drawn, max(1, epochs // factor**s), factor, seeds)
    return _table(work)


class Nested(NamedTuple):
    """Nested cross-validation: how good what a search chooses is, on examples that the search did not see.

    Attributes:
      scores: by outer fold, of the candidate that its search found best, trained on all but the fold.
      chosen: what that was.
      tables: the searches.
    """

    scores: np.ndarray
    chosen: list[Candidate]
    tables: list[Table]


def nested(
    model: Any, loss: Any, optimizer: Any, data: Any, candidates: Iterable[Candidate], *, key: Any, epochs: int,
    outer: Any = 5, inner: Any = 4, monitor: str = "auto", mode: str | None = None, seeds: int = 1, **options: Any,
) -> Nested:  # fmt: skip
    """Nested cross-validation: for each outer fold a search by inner folds of the rest, and a score of its best.

    Args:
      model, loss, optimizer, data, candidates, key, epochs, seeds, monitor, mode, **options: as in `search`.
      outer, inner: folds, as in `search`; of inner ones a number or a splitter.

    Returns:
      The Nested. The best of each search is trained on all of the outer fold's rest, for its mean best number of
      epochs: what was held out chooses nothing.

    Raises:
      ValueError, TypeError, KeyError: as `search`.
    """
    work = Work(
        model, loss, optimizer, data, key=key, epochs=epochs, folds=outer, monitor=monitor, mode=mode, options=options
    )
    tried = [dict(candidate) for candidate in candidates]
    scores, chosen, tables = [], [], []
    for rest, held in work.folds:
        train, test = (jax.tree.map(lambda x, part=part: x[part], work.data) for part in (rest, held))
        table = search(
            model, loss, optimizer, train, tried, key=key, epochs=epochs, folds=inner, seeds=seeds, monitor=monitor,
            mode=mode, **options,
        )  # fmt: skip
        length = max(1, round(table[0].epoch))
        alone = Work(
            model, loss, optimizer, train, key=key, epochs=length, monitor=monitor, mode=mode,
            keep=True, options=options | {"validation": test},
        )  # fmt: skip
        best = table.best
        (number,) = alone.add([best])
        trials = alone.trials([number], seeds)
        alone.run(trials, length)
        scores.append(float(np.mean([alone.runs[t].history[alone.monitor][-1] for t in trials])))
        chosen.append(best)
        tables.append(table)
        if table.interrupted or alone.interrupted:
            break
    return Nested(np.array(scores), chosen, tables)


def _run(work: Work, candidates: Iterable[Candidate], epochs: int, seeds: int) -> list[int]:
    numbers = work.add(candidates)
    work.run(work.trials(numbers, seeds), epochs)
    return numbers


def _halve(work: Work, candidates: Iterable[Candidate], min_epochs: int, factor: int, seeds: int) -> None:
    """Rounds of successive halving of some candidates."""
    _check.integer("factor", factor, low=2)
    if not 1 <= _check.integer("min_epochs", min_epochs) <= work.epochs:
        raise ValueError(f"min_epochs must be from 1 to epochs, {work.epochs}; got {min_epochs}")
    left, budget = work.add(candidates), min_epochs
    while left and not work.interrupted:
        trials = work.trials(left, seeds)
        work.run(trials, budget)
        if budget == work.epochs or work.interrupted:
            break
        sign = 1 if work.mode == "min" else -1
        scores = np.array([sign * work.score(n, budget) for n in left])  # NaN is sorted last
        stay = np.argsort(scores, kind="stable")[: max(1, len(left) // factor)]
        for n in set(range(len(left))) - set(stay.tolist()):
            for trial in work.trials([left[n]], seeds):
                work.runs.pop(trial, None)  # its parameters are not needed any more
        left, budget = [left[n] for n in sorted(stay)], min(budget * factor, work.epochs)


def _table(work: Work) -> Table:
    return Table(
        work.done.values(), work.monitor, work.mode, candidates=work.candidates, seconds=work.seconds,
        compiles=work.compiles, interrupted=work.interrupted,
    )  # fmt: skip
