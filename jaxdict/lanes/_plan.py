"""How lanes are run: by backend, devices, the memory of a lane, and what of its program suffers from width."""

import functools
import math
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Var, jaxprs_in_params

from jaxdict import _check
from jaxdict.train.segment import Plan, program

_PART = 0.8  # of the memory, that lanes may fill


class LanePlan(NamedTuple):
    """How lanes were run.

    Attributes:
      width: lanes of a block, which are computed at once.
      workers: blocks that run at the same time.
      why: why so, in words.
      devices: what a block's lanes are shared out over, each computing its own without a word to the others.
      sharing: devices, neighbours in ``devices``, that have the same lanes and share out each of their batches.
    """

    width: int
    workers: int
    why: str
    devices: tuple[Any, ...] = ()
    sharing: int = 1

    @property
    def mesh(self) -> jax.sharding.Mesh | None:
        """The devices by "lane" and "data"; None for one."""
        if len(self.devices) < 2:
            return None
        return jax.sharding.Mesh(np.array(self.devices).reshape(-1, self.sharing), ("lane", "data"))


class Need(NamedTuple):
    """What a program asks of a device.

    Attributes:
      lane: bytes that each lane takes while it is computed, roughly.
      shared: bytes of data, held once on each device.
      groups: groups of each of the program's convolutions, ``(1, 1, 32)``; empty where there is none.
    """

    lane: int = 0
    shared: int = 0
    groups: tuple[int, ...] = ()


def plan_lanes(
    count: int,
    *,
    width: int | None = None,
    workers: int | None = None,
    devices: Any = None,
    need: Need | None = None,
    memory: int | None = None,
) -> LanePlan:
    """How ``count`` lanes are run: as asked for, and else as suits the backend, the memory and the program.

    The width, on which a lane's last bits depend, follows from what does not change from run to run: lanes, devices and
    their whole memory. Where that is short, fewer are computed at once, and the others wait.

    Args:
      count: lanes, >= 1.
      width, workers: as in ``fit_lanes``. devices: likewise: a row, an array ``(lanes, data)`` or a mesh of these axes.
      need: what the program asks for; nothing when None. See `need_of`.
      memory: bytes of each device, for the CPU of all cores together; asked of them when None.

    Returns:
      The LanePlan.

    Raises:
      ValueError, TypeError: less than 1, no devices, devices in another arrangement or of another process.
    """
    need = need or Need()
    for name, value in (("width", width), ("workers", workers)):
        if value is not None:
            _check.integer(name, value, low=1)
    asked = [n for n, v in (("width", width), ("workers", workers), ("devices", devices)) if v is not None]
    found, sharing = _arranged(devices)
    cpu = found[0].platform == "cpu"
    room = _room(found, need, memory)
    if cpu and len(found) == 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        why = f"{cores} cores, so as many lanes at a time, each by the program of fit"
        width = width or 1
        if workers is None and room < min(cores * width, count):
            workers = max(1, room // width)
            why += f", but only {workers}: the memory has room for {_lanes(room)} of {_said(need.lane)}"
        workers = workers or cores
    else:
        rows = len(found) // sharing
        workers = workers or 1
        why = f"{found[0].platform}, which is filled best by all lanes in one program"
        if rows > 1:
            why = f"{rows} devices, {{each}} on each, which nothing passes between"
        if sharing > 1:
            why = f"{rows} × {sharing} devices, {{each}} on each row, which shares their batches out"
        if width is None:
            width = -(-count // workers)
            if need.groups and (cpu or max(need.groups) > 1):
                width = rows
                kind = "grouped convolutions" if max(need.groups) > 1 else "convolutions"
                why += f"; no wider, for {kind} of several lanes at once are slow"
            elif (most := max(1, room // workers) * rows) < width:
                width = most
                why += f"; in waves, for the memory has room for {_lanes(room)} of {_said(need.lane)} on each"
        width = -(-width // rows) * rows
        why = why.replace("{each}", _lanes(width // rows))
    if asked:
        why += f"; {' and '.join(asked)} as given"
    return LanePlan(width, min(workers, -(-count // width)), why, found, sharing)


def _arranged(devices: Any) -> tuple[tuple[Any, ...], int]:
    """The devices in a row, and how many neighbours share batches out."""
    if devices is None:
        chosen = jax.config.jax_default_device  # type: ignore[attr-defined]
        own = [chosen] if isinstance(chosen, jax.Device) else jax.local_devices(backend=chosen)
        return tuple(own[:1] if own[0].platform == "cpu" else own), 1
    if isinstance(devices, jax.sharding.Mesh):
        if devices.axis_names != ("lane", "data"):
            raise ValueError(f"a mesh for lanes has the axes ('lane', 'data'); got {devices.axis_names}")
        devices = devices.devices
    array = np.array(devices, object)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"devices must be one or more in a row, or (lanes, data); got the shape {array.shape}")
    if len(set(array.flat)) < array.size:
        raise ValueError(f"devices must be different ones; got {devices!r}")
    if any(one.process_index != jax.process_index() for one in array.flat):
        raise ValueError("devices must be of this process: give each process its part of the lanes, and its devices")
    return tuple(array.flat), array.shape[1] if array.ndim == 2 else 1


def _room(devices: Sequence[Any], need: Need, memory: int | None) -> int:
    """How many lanes the memory of a device holds, at least 1."""
    if memory is None:
        memory = memory_of(devices[0])
    if memory is None or not need.lane:
        return sys.maxsize
    places = len(devices) if devices[0].platform == "cpu" else 1  # simulated devices have one memory
    return max(1, int((_PART * memory / places - need.shared) // need.lane))


def memory_of(device: Any) -> int | None:
    """Bytes of memory: all that a device lets programs have, for a CPU all of it; None where nothing says."""
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def need_of(job: Any) -> Need:
    """What the lanes of a Job ask for: the state twice, before and after a step, and what the program computes between.

    The program is traced for it; one of width 1 is not traced again to be run.
    """
    given = job.shapes(), job.data, job.keys, job.hyperparameters
    leaves, tree = jax.tree.flatten(jax.tree.map(jax.typeof, given))
    return _need(job.plan, tree, tuple(leaves))


@functools.lru_cache(maxsize=64)
def _need(plan: Plan, tree: Any, types: tuple[Any, ...]) -> Need:
    structs = [jax.ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in types]
    carry, data, keys, hyperparameters = jax.tree.unflatten(tree, structs)
    traced = program(plan).segment.trace(carry, data, keys, hyperparameters, np.int32(0))
    return Need(2 * _bytes(carry) + _between(traced.jaxpr.jaxpr), _bytes(data), convolution_groups(traced.jaxpr))


def convolution_groups(closed: Any) -> tuple[int, ...]:
    """The groups of every convolution in a program, those in its loops and branches too.

    Args:
      closed: what ``jax.make_jaxpr`` gives.

    Returns:
      A number for each convolution: 1, more where inputs or examples are in groups.
    """
    found = []
    for equation in _equations(closed.jaxpr):
        if equation.primitive.name == "conv_general_dilated":
            found.append(max(equation.params["feature_group_count"], equation.params["batch_group_count"]))
        elif equation.primitive.name == "convolve":  # the layers' own
            found.append(equation.params["steps"].groups)
    return tuple(found)


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)


def _between(jaxpr: Any) -> int:
    """The most bytes of results that a program holds at a time, each from where it is made to its last use."""
    last = {v: at for at, equation in enumerate(jaxpr.eqns) for v in equation.invars if isinstance(v, Var)}
    last |= {v: len(jaxpr.eqns) for v in jaxpr.outvars if isinstance(v, Var)}
    own = {v for equation in jaxpr.eqns for v in equation.outvars}
    held, most = 0, 0
    for at, equation in enumerate(jaxpr.eqns):
        inner = max(map(_between, jaxprs_in_params(equation.params)), default=0)
        most = max(most, held + inner + _bytes([v.aval for v in equation.outvars]))
        done = own.intersection(v for v in equation.invars if isinstance(v, Var) and last[v] == at)
        held += _bytes([v.aval for v in equation.outvars if v in last]) - _bytes([v.aval for v in done])
    return most


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _lanes(count: int) -> str:
    return f"{count} lane{'s' * (count != 1)}"


def _said(size: int) -> str:
    return f"{size / 2**20:.3g} MiB" if size < 2**30 else f"{size / 2**30:.3g} GiB"
