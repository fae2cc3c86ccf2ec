"""Three ways to members that disagree: other seeds, other samples of the data, other minima of one run."""

import dataclasses
import functools
import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check, _registry
from jaxdict import data as data_room
from jaxdict.ensemble.members import Ensemble, Member, stack
from jaxdict.lanes import fit_lanes
from jaxdict.layers import child
from jaxdict.run import Run
from jaxdict.runner import Job, fit, on, pair
from jaxdict.schedules import cyclic_cosine
from jaxdict.train.segment import count_of, matching


def seeds(model: Any, loss: Any, optimizer: Any, data: Any, *, members: int, key: Any, **options: Any) -> Ensemble:
    """An ensemble by independent seeds: runs as lanes, which differ in their first parameters, order and noise.

    Args:
      model, loss, optimizer, data: as in `fit_lanes`.
      members: how many, >= 1.
      key: a PRNG key or an int seed. A member's key depends on it and the member's number alone, so that a larger
        ensemble begins with the smaller.
      options: all else of `fit_lanes`, ``epochs`` among them; hyperparameters one for all or ``(members,)``.

    Returns:
      The Ensemble; ``ensemble.runs`` are the Runs.

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, before anything is run.
    """
    _refuse("seeds", options, keys="give key and members")
    keys = _member_keys(key, members)
    return Ensemble.of(fit_lanes(model, loss, optimizer, data, keys=keys, **options))


def bagging(
    model: Any,
    loss: Any,
    optimizer: Any,
    data: Any,
    *,
    members: int,
    key: Any,
    sample_fraction: float = 1.0,
    replace: bool = True,
    **options: Any,
) -> Ensemble:
    """An ensemble by bootstrap samples: each member is trained, as a lane, on its own draw of the examples.

    Args:
      model, loss, optimizer, data: as in `fit_lanes`; data is ``(inputs, targets)`` or a Dataset.
      members, key: as in `seeds`, whose members begin from the same parameters.
      sample_fraction: 0 < share <= 1 of the n examples that a sample has, rounded to a whole number, at least 1.
      replace: whether an example may be drawn more than once, as in a bootstrap sample.
      options: all else of `fit_lanes`, ``epochs`` among them.

    Returns:
      The Ensemble; with ``indices``, ``oob_indices``, ``oob_predictions`` and ``oob_score``.

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, before anything is run.
    """
    _refuse("bagging", options, keys="give key and members", indices="it draws them itself")
    _check.number("sample_fraction", sample_fraction, above=0, high=1)
    given = pair(data)
    if not isinstance(given, tuple) or len(given) not in (2, 3):
        raise TypeError(f"bagging draws from (inputs, targets) or a Dataset; got {type(data).__name__}")
    keys = _member_keys(key, members)
    n = count_of(data_room.check(*given[:2])[0])
    indices = _samples(keys, n, sample_fraction, replace)
    runs = fit_lanes(model, loss, optimizer, data, keys=keys, indices=indices, **options)
    return Ensemble.of(runs, indices=indices, examples=n)


def snapshots(
    model: Any,
    loss: Any,
    optimizer: Any,
    data: Any,
    *,
    cycles: int,
    epochs: int,
    learning_rate: float,
    key: Any,
    callbacks: Sequence[Any] = (),
    **options: Any,
) -> Ensemble:
    """A snapshot ensemble: one run whose rate falls to 0 and starts again, a member at the end of each cycle.

    The rate is ``schedules.cyclic_cosine(learning_rate, T, cycles=cycles)`` over the T steps of the run,
    η₀/2·(1 + cos(π·(t mod T/M)/(T/M))). The optimizer's moments go on from cycle to cycle.

    Args:
      model, loss, data: as in `fit`; data is resident, not batches from outside.
      optimizer: a function of ``learning_rate`` that takes a schedule, such as ``optimizers.momentum``, or a name.
      cycles: M >= 1, the members. epochs: in all, a multiple of ``cycles``, so that cycles end where epochs do.
      learning_rate: η₀ > 0, the rate at the start of each cycle.
      key, callbacks: as in `fit`.
      options: all else of `fit` but ``resume``.

    Returns:
      The Ensemble of ``cycles`` members; ``ensemble.runs[0]`` is the Run. A run that ends early, as its message tells,
      gives the members of the cycles that it finished, and a warning.

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, before anything is run.
      RuntimeError: the run ended before its first cycle did.
    """
    _refuse("snapshots", options, resume="earlier members would be missing")
    cycles = _check.integer("cycles", cycles, low=1)
    if _check.integer("epochs", epochs, low=1) % cycles:
        below, above = epochs // cycles * cycles, -(-epochs // cycles) * cycles
        near = f"{below} or {above}" if below else f"{above}"
        raise ValueError(f"epochs must be a multiple of cycles, {cycles}, such as {near}; got {epochs}")
    if "learning_rate" in (options.get("hyperparameters") or {}):
        raise ValueError("give the rate as learning_rate=…: as a hyperparameter it would replace the schedule")
    _check.scalar("learning_rate", learning_rate, above=0)
    make = _registry.function(optimizer, "optimizer")
    if hasattr(make, "update") or not callable(make) or not matching(make, {"learning_rate": learning_rate}):
        raise ValueError(
            "snapshots set the learning rate: give optimizer as a function of learning_rate, such as "
            f"jaxdict.optimizers.momentum, or its name; got {optimizer!r}"
        )
    shared: dict[str, Any] = {"key": key, "epochs": epochs, **options}
    steps = _steps_per_epoch(model, loss, functools.partial(make, learning_rate=learning_rate), data, **shared)
    if steps is None:
        raise ValueError("the steps of a run over batches from outside are not known; give data that is resident")
    rate = cyclic_cosine(learning_rate, steps * epochs, cycles=cycles)
    ends = _CycleEnds(epochs // cycles)
    scheduled = functools.partial(make, learning_rate=rate)
    run = fit(model, loss, scheduled, data, callbacks=[ends, *callbacks], **shared)
    if not ends.members:
        raise RuntimeError(f"the run ended before its first cycle did: {run.message}")
    if len(ends.members) < cycles:
        message = f"only {len(ends.members)} of {cycles} cycles were finished: {run.message}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return Ensemble(
        stack(ends.members),
        plan=dataclasses.replace(run.plan, model=run.model),
        example=run._job.example,
        hyperparameters={name: jnp.repeat(value, len(ends.members)) for name, value in run.hyperparameters.items()},
        runs=[run],
    )


class _CycleEnds:
    """A callback that keeps a member at every end of a cycle; segments end there because it says ``every``."""

    def __init__(self, every: int):
        self.every = every
        self.members: list[Member] = []

    def on_segment(self, run: Run) -> None:
        if run.running and run.epoch == self.every * (len(self.members) + 1):
            self.members.append(Member(run.params, run.state))


def _steps_per_epoch(*given: Any, **options: Any) -> int | None:
    """The optimizer steps an epoch of `fit` with these arguments, which are checked; None where they are not known."""
    call = inspect.signature(fit).bind(*given, **options)
    call.apply_defaults()
    with on(call.arguments["device"]):
        return Job(call.arguments).steps_per_epoch


def _samples(keys: Sequence[jax.Array], n: int, fraction: float, replace: bool) -> np.ndarray:
    """For each member's key so many of ``n`` positions, int32 ``(members, m)``."""
    size = max(1, round(fraction * n))
    draw = functools.partial(jax.random.choice, a=n, shape=(size,), replace=replace)
    return np.stack([np.asarray(draw(child(key, "bootstrap")), np.int32) for key in keys])


def _member_keys(key: Any, members: int) -> list[jax.Array]:
    """A key for each member, folded from its number."""
    key, members = _check.prng_key(key), _check.integer("members", members, low=1)
    if key.ndim:
        raise ValueError(f"key must be one key; got keys of the shape {key.shape}")
    return [jax.random.fold_in(key, number) for number in range(members)]


def _refuse(who: str, options: dict[str, Any], **reasons: str) -> None:
    for name, why in reasons.items():
        if name in options:
            raise ValueError(f"{who} takes no {name!r}: {why}")


__all__ = ["bagging", "seeds", "snapshots"]
