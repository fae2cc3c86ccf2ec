"""Lanes: many runs of one program side by side, on every core, each as if it were alone."""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxdict import _check
from jaxdict import data as data_room
from jaxdict.lanes._blocks import Crew
from jaxdict.lanes._plan import LanePlan, Need, convolution_groups, memory_of, need_of, plan_lanes
from jaxdict.lanes._runs import Runs, mode_of
from jaxdict.run import Run
from jaxdict.runner import Job, named, pair
from jaxdict.train.outputs import weights_as_data
from jaxdict.train.segment import count_of

__all__ = [
    "LanePlan", "Need", "Runs", "convolution_groups", "fit_lanes", "memory_of", "mode_of", "need_of", "plan_lanes",
]  # fmt: skip


def fit_lanes(
    model: Any,
    loss: Any,
    optimizer: Any,
    data: Any,
    *,
    keys: Any,
    epochs: int,
    hyperparameters: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    validation: Any = None,
    metrics: Any = None,
    penalty: Callable[..., jax.Array] | None = None,
    augment: Callable[[jax.Array, Any], Any] | None = None,
    sample_weight: Any = None,
    indices: Any = None,
    validation_indices: Any = None,
    class_weight: Any = None,
    weight_normalization: str = "count",
    loss_weights: Mapping[str, Any] | None = None,
    observers: Sequence[Any] = (),
    params: Any = None,
    state: Any = None,
    segment_epochs: int | None = None,
    precision: str | None = None,
    accumulation: int = 1,
    resume: Sequence[Any] | None = None,
    on_end: Callable[[int, Run], Any] | None = None,
    width: int | None = None,
    workers: int | None = None,
    devices: Any = None,
    part_of: int | None = None,
) -> Runs:
    """Train K runs, *lanes*, by one compiled program: seeds, hyperparameters and sample weights are data.

    A lane that stops or diverges changes no other, and the next that waits takes its place. Nor does it depend on which
    lanes are run, so that of several processes each trains its own: ``keys[number::count]``, and hyperparameters alike,
    with ``part_of=len(keys)``.

    Args:
      keys: one a lane: ``(K,)`` PRNG keys, or int seeds.
      hyperparameters: by name one number for all, or ``(K,)``, given as data to every function that takes an argument
        of that name, as in ``fit``. loss_weights: by output likewise, data that a lane calls ``loss_weights.main``.
      validation: ``(inputs, targets)``, the same for all; a fraction is held out once, by the first key.
      sample_weight: ``(n,)`` for all, or ``(K, n)``: where it is 0, a lane does not learn from the example.
      indices: K sets of integers, the examples that each lane trains on: folds, bootstrap samples. All when None. Each
        number of examples compiles once, and lanes of one number share blocks.
      validation_indices: K sets, the examples that each is validated on, instead of ``validation``.
      resume: what each lane goes on from, to ``epochs`` in all: K of what ``fit`` takes, such as the Runs of before.
      on_end: called with a lane's number and its Run when it ends, by the thread that waits here.
      width: lanes that are computed at once. 1 gives every lane the bits of ``fit``; wider rounds otherwise, and again
        a lane has the same bits in any company. Chosen for backend, memory and program when None: see `plan_lanes`.
      workers: how many such blocks run at the same time; the cores on the CPU, else 1, when None.
      devices: what the lanes of a block are shared out over; all of the backend but on the CPU, when None. A width is
        rounded up to a multiple of their number. An array ``(lanes, data)``, or a mesh of these axes, shares batches
        out over its second axis, too: the same runs to rounding.
      part_of: how many lanes there are in all, of which these are what is left, or a process's share: the width is
        chosen as for all of them, so that each has the bits that it has among all.
      model, loss, optimizer, data, epochs, batch_size, metrics, penalty, augment, class_weight, weight_normalization,
      observers, params, state, segment_epochs, precision, accumulation: as in ``fit``; observers watch lane by lane.

    Returns:
      The Runs, in the order of ``keys``; ``runs[i]`` is a Run.

    Raises:
      ValueError, TypeError, KeyError: an argument that does not fit, with the lane's number, before anything is run.
    """
    keys = _keys(keys)
    count = len(keys)
    numbers = _by_lane(weights_as_data(hyperparameters, loss_weights, loss), count)
    total = count if part_of is None else _check.integer("part_of", part_of, low=count)
    found = plan_lanes(count, width=width, workers=workers, devices=devices).devices  # an error before all else
    weights = _weights(sample_weight, count)
    if any(v is not None for v in (weights, indices, validation_indices)) and isinstance(validation, float):
        raise ValueError("where lanes differ in their examples, validation must be (inputs, targets), not a fraction")
    chosen, held = None, None
    if indices is not None or validation_indices is not None:
        inputs, targets = data_room.check(*pair(data)[:2])
        chosen = _indices("indices", indices, count, count_of(inputs))
        held = _indices("validation_indices", validation_indices, count, count_of(inputs))
        if held is not None:
            if validation is not None:
                raise ValueError("give validation or validation_indices, not both")
            validation = jax.tree.map(lambda x: x[held[0]], (inputs, targets))
    with jax.default_device(found[0]) if devices is not None else contextlib.nullcontext():
        first = Job(
            {
                "model": model, "loss": loss, "optimizer": optimizer, "data": data, "key": keys[0], "epochs": epochs,
                "batch_size": batch_size, "validation": validation, "metrics": metrics, "penalty": penalty,
                "augment": augment, "sample_weight": sample_weight if weights is None else None,
                "class_weight": class_weight, "weight_normalization": weight_normalization, "observers": observers,
                "callbacks": (), "hyperparameters": numbers[0], "params": params, "state": state, "resume": None,
                "segment_epochs": segment_epochs, "precision": precision, "accumulation": accumulation,
                "name": "lane 0",
            }
        )  # fmt: skip
        if first.data is None:
            raise ValueError("lanes share data that is resident on the device; batches from outside are for fit")
        if resume is not None and len(resume) != count:
            raise ValueError(f"resume must be {count} checkpoints or Runs, one a lane; got {len(resume)}")
        jobs = []
        for lane, (key, values) in enumerate(zip(keys, numbers, strict=True)):
            own = [None if of_lanes is None else of_lanes[lane] for of_lanes in (weights, chosen, held)]
            with named(f"lane {lane}"):
                jobs.append(first.lane(key, values, *own))
        need = need_of(jobs[0])
        plan = plan_lanes(total, width=width, workers=workers, devices=devices, need=need)
        plan = plan._replace(workers=min(plan.workers, -(-count // plan.width)))
        if batch_size % plan.sharing:
            raise ValueError(
                f"batch_size must be a multiple of the {plan.sharing} devices that share it; got {batch_size}"
            )
        _warn(plan, need)
        apart = zip(("weights", "indices", "held"), (weights, chosen, held), strict=True)
        return Crew(jobs, plan, tuple(name for name, of_lanes in apart if of_lanes is not None), on_end).run()


def _keys(keys: Any) -> list[Any]:
    """One typed key a lane."""
    if not hasattr(keys, "__len__") or getattr(keys, "ndim", 1) == 0:
        raise ValueError(f"keys must be one a lane: jax.random.split(key, K), or a list of seeds; got {keys!r}")
    dtype = getattr(keys, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, np.integer) and keys.ndim == 1:
        keys = np.asarray(keys).tolist()
    found = [_check.prng_key(key, name=f"keys[{lane}]") for lane, key in enumerate(keys)]
    if not found or any(key.ndim for key in found):
        raise ValueError(f"keys must be one or more in a row, one a lane; got {keys!r}")
    return found


def _by_lane(hyperparameters: Mapping[str, Any] | None, count: int) -> list[dict[str, Any]]:
    """The numbers of every lane."""
    columns = {}
    for name, values in (hyperparameters or {}).items():
        array = np.asarray(values)
        if array.ndim > 1 or (array.ndim == 1 and len(array) != count):
            raise ValueError(
                f"the hyperparameter {name!r} must be one number or ({count},), one a lane; got the shape {array.shape}"
            )
        for lane, value in enumerate(array if array.ndim else ()):
            with named(f"lane {lane}"):
                _check.number(f"the hyperparameter {name!r}", value)
        columns[name] = np.broadcast_to(array, count).tolist()
    return [{name: values[lane] for name, values in columns.items()} for lane in range(count)]


def _weights(sample_weight: Any, count: int) -> np.ndarray | None:
    """Sample weights that differ by lane, ``(K, n)``; None for those that are the same, or none."""
    if np.ndim(sample_weight) != 2:
        return None
    if len(sample_weight) != count:
        shape = np.shape(sample_weight)
        raise ValueError(f"sample_weight must be (n,), or ({count}, n) with a row for each lane; got {shape}")
    return np.asarray(sample_weight)


def _indices(name: str, indices: Any, count: int, examples: int) -> list[np.ndarray] | None:
    """Positions of examples by lane, int32."""
    if indices is None:
        return None
    sets = [np.asarray(one) for one in indices]
    if len(sets) != count:
        raise ValueError(f"{name} must be {count} sets of integers, one a lane; got {len(sets)}")
    for lane, one in enumerate(sets):
        if one.ndim != 1 or not one.size or not np.issubdtype(one.dtype, np.integer):
            what = f"{one.dtype} of the shape {one.shape}"
            raise ValueError(f"{name} of lane {lane} must be integers (m,), at least one; got {what}")
        if one.min() < 0 or one.max() >= examples:
            wrong = one[(one < 0) | (one >= examples)][0]
            raise ValueError(f"{name} of lane {lane} must be in [0, {examples}), the examples; got {wrong}")
    return [one.astype(np.int32) for one in sets]


def _warn(plan: LanePlan, need: Need) -> None:
    """Of a width that was asked for, where it makes the program slow."""
    each = plan.width * plan.sharing // max(1, len(plan.devices))
    if each > 1 and need.groups and plan.devices[0].platform == "cpu":
        warnings.warn(
            f"a width of {each} lanes makes grouped convolutions of the model's, slow on the CPU; leave width out",
            RuntimeWarning,
            stacklevel=3,
        )
