"""Blocks of lanes, and the crew that runs them.

A *block* has places for so many lanes, which one program computes at once; a worker, a thread of the host, runs one
block segment after segment. A lane that ends leaves its place to the next that waits. What a lane computes depends on
the width of the blocks alone, never on its place or on the other lanes.
"""

import contextlib
import dataclasses
import functools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxdict.lanes._plan import LanePlan
from jaxdict.lanes._runs import Runs
from jaxdict.run import Run, restore
from jaxdict.runner import SEGMENT_SECONDS, Interrupt, Job
from jaxdict.train.segment import CAPACITY, Carry, Data, Plan, program


class _Lane:
    """A run that waits, or is under way."""

    def __init__(self, number: int, job: Job):
        self.number = number
        self.job = job
        self.run = Run(job)
        self.carry: Any = None
        self.shapes = jax.tree.map(jnp.shape, job.data)  # what a compiled program is made for

    def start(self) -> None:
        if self.job.resume is None:
            self.hold(self.job.start())
        else:
            self.carry, self.run.history = restore(self.job.resume, self.job, self.job.shapes())
            self.run.update(self.carry)

    def hold(self, carry: Carry) -> None:
        """Take over a state of the present epoch, which may still be under way."""
        self.carry = carry
        self.run.hold(carry)

    def took(self, carry: Carry, seconds: float) -> None:
        """Take over what a segment gave."""
        self.carry = carry
        self.run.extend(carry, seconds)

    @property
    def goes_on(self) -> bool:
        """Whether another segment follows."""
        return self.run.running and self.run.epoch < self.job.epochs


Ended = Callable[[_Lane], None]
Next = Callable[[Any], _Lane | None]  # the next lane that waits, of these shapes if they are not None


class _Single:
    """A block with one place, by the program of ``fit``."""

    def __init__(self, job: Job, ended: Ended) -> None:
        self.lane: _Lane | None = None
        self.compiled = job.program.segment
        self.ended = ended

    def fill(self, waiting: Next) -> bool:
        """Give free places to lanes that wait; whether there is anything to run."""
        if self.lane is None and (lane := waiting(None)) is not None:
            lane.start()
            self.lane = lane
        return self.lane is not None

    def advance(self, length: int) -> tuple[int, float]:
        """Run ``length`` epochs; how many there were, and the seconds."""
        assert self.lane is not None
        lane, before = self.lane, self.lane.run.epoch
        began = time.perf_counter()
        carry = lane.job.segment(lane.carry, min(before + length, lane.job.epochs))
        jax.block_until_ready(carry.code)
        seconds = time.perf_counter() - began
        lane.took(carry, seconds)
        if not lane.goes_on:
            self.lane = None
            self.ended(lane)
        return lane.run.epoch - before, seconds

    def release(self) -> None:
        """Give lanes that have not ended what is theirs."""


class _Held(NamedTuple):
    """What a block computes with, by place."""

    carry: Any
    keys: Any
    hyperparameters: Any
    own: dict[str, Any]  # the parts of the data in which lanes differ


class _Block:
    """A block with several places. What stands in a free one is not moved on."""

    def __init__(self, plan: LanePlan, job: Job, apart: tuple[str, ...], ended: Ended):
        self.places: list[_Lane | None] = [None] * plan.width
        mesh = plan.mesh
        shared = job.plan if plan.sharing == 1 else dataclasses.replace(job.plan, mesh=mesh)
        self.program = _block_program(shared, apart, plan.devices)
        self.compiled = self.program.segment
        self.ended = ended
        self.data: Any = job.data
        if mesh is not None:  # once, where each segment would do it again
            common = self.data._replace(**dict.fromkeys(apart))
            self.data = jax.device_put(common, NamedSharding(mesh, PartitionSpec()))
        self.apart = apart
        self.held: _Held | None = None

    def fill(self, waiting: Next) -> bool:
        if not any(self.places):
            self.held = None  # what comes may be of other shapes
        for place, lane in enumerate(self.places):
            shapes = next((lane.shapes for lane in self.places if lane is not None), None)
            if lane is None and (lane := waiting(shapes)) is not None:
                lane.start()
                own = {name: getattr(lane.job.data, name) for name in self.apart}
                new = _Held(lane.carry, lane.job.keys, lane.job.hyperparameters, own)
                if self.held is None:
                    self.held = self.program.spread(new, len(self.places))
                self.held = self.program.put(self.held, place, new)
                self.places[place] = lane
        return any(lane is not None for lane in self.places)

    def advance(self, length: int) -> tuple[int, float]:
        assert self.held is not None
        held = self.held
        before = [0 if lane is None else lane.run.epoch for lane in self.places]
        ends = [
            0 if lane is None else min(epoch + length, lane.job.epochs)
            for lane, epoch in zip(self.places, before, strict=True)
        ]
        data = self.data._replace(**held.own)
        began = time.perf_counter()
        turns = max(end - epoch for end, epoch in zip(ends, before, strict=True))
        carry = self.program.segment(
            held.carry, data, held.keys, held.hyperparameters, np.array(ends, np.int32), np.int32(turns)
        )
        jax.block_until_ready(carry.code)
        seconds = time.perf_counter() - began
        self.held = held._replace(carry=carry)
        rows, epochs, codes = jax.device_get((carry.rows, carry.epoch, carry.code))
        live = sum(lane is not None for lane in self.places)
        done = 0
        for place, lane in enumerate(self.places):
            if lane is None:
                continue
            seen: Any = {name: values[place] for name, values in rows.items()}
            # All that the host needs of a lane under way; its parameters stay in the block.
            lane.took(carry._replace(train=None, memories=(), rows=seen, epoch=epochs[place], code=codes[place]),
                      seconds / live)  # fmt: skip
            done = max(done, int(epochs[place]) - before[place])
            if not lane.goes_on:
                lane.hold(self.program.pick(carry, place))
                self.places[place] = None
                self.ended(lane)
        return done, seconds

    def release(self) -> None:
        for place, lane in enumerate(self.places):
            if lane is not None and self.held is not None:
                lane.hold(self.program.pick(self.held.carry, place))


class _BlockProgram(NamedTuple):
    """The compiled functions of a block, whose leaves have an axis of places in front."""

    spread: Callable[[Any, int], Any]
    segment: Callable[..., Carry]
    put: Callable[..., Any]
    pick: Callable[..., Any]


@functools.lru_cache(maxsize=64)
def _block_program(plan: Plan, apart: tuple[str, ...], devices: tuple[Any, ...]) -> _BlockProgram:
    """For lanes that differ in the parts ``apart`` of their data; the same object for equal plans.

    On several devices each computes its places by a program of its own: their loops end when their own lanes do, and
    nothing goes from one to another. Rows of devices that share batches out pass nothing from row to row either, but
    take equally many turns: within a row devices wait for each other, which backends may arrange for all at once.
    """

    def one(carry, inputs, keys, hyperparameters, end, turns):
        return program(plan).segment(carry, inputs, keys, hyperparameters, end, None if plan.mesh is None else turns)

    def segment(carry, data, keys, hyperparameters, end, turns):
        axes = Data(None, None)._replace(**dict.fromkeys(apart, 0))
        return jax.vmap(one, in_axes=(0, axes, 0, 0, 0, None))(carry, data, keys, hyperparameters, end, turns)

    def put(block, place, lane):
        return jax.tree.map(lambda places, x: places.at[place].set(x), block, lane)

    def pick(block, place):
        return jax.tree.map(lambda places: places[place], block)

    def spread(lane, width):
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (width, *x.shape)), lane)

    by_place, once = None, None
    if len(devices) > 1:
        mesh = plan.mesh or jax.sharding.Mesh(devices, ("lane",))
        by_place = NamedSharding(mesh, PartitionSpec("lane"))
        own, shared = by_place.spec, PartitionSpec()
        by_field: Any = [own if name in apart else shared for name in Data._fields]
        specs = (own, Data(*by_field), own, own, own, shared)
        segment = jax.shard_map(segment, mesh=mesh, in_specs=specs, out_specs=own, axis_names={"lane"}, check_vma=False)
        once = NamedSharding(mesh, shared)
    return _BlockProgram(
        jax.jit(spread, static_argnums=1, out_shardings=by_place),
        jax.jit(segment, donate_argnums=0),
        jax.jit(put, donate_argnums=0, out_shardings=by_place),
        jax.jit(pick, out_shardings=once),
    )


# jax's context managers hold in their thread alone: what is in force where lanes are asked for, workers take over.
_SETTINGS = {
    f"jax_{name}": getattr(jax, name)
    for name in (
        "enable_x64", "default_device", "default_matmul_precision", "default_prng_impl", "numpy_dtype_promotion",
        "numpy_rank_promotion", "threefry_partitionable", "debug_nans", "debug_infs", "disable_jit",
    )
}  # fmt: skip


OnEnd = Callable[[int, Run], Any]


class Crew:
    """Workers that run blocks until no lane is left."""

    def __init__(self, jobs: Sequence[Job], plan: LanePlan, apart: tuple[str, ...], on_end: OnEnd | None = None):
        self.lanes = [_Lane(number, job) for number, job in enumerate(jobs)]
        self.plan = plan
        self.on_end = on_end
        self.ended: queue.SimpleQueue[_Lane | None] = queue.SimpleQueue()  # None when a worker has ended
        self.blocks = [
            _Single(jobs[0], self.ended.put)
            if plan.width == len(plan.devices) == 1
            else _Block(plan, jobs[0], apart, self.ended.put)
            for _ in range(plan.workers)
        ]
        self.fixed_length = jobs[0].segment_epochs
        self.length = 1
        self.waiting = deque(self.lanes)
        self.lock = threading.Lock()
        self.settings = {name: getattr(jax.config, name) for name in _SETTINGS}
        self.failure: BaseException | None = None
        self.stop = False

    def run(self) -> Runs:
        began = time.perf_counter()
        compiled = self._compiled()
        self.blocks[0].fill(self._next)
        self.blocks[0].advance(0)  # compiles once, where the workers would all do it at the same time
        with Interrupt() as interrupt:
            threads = [threading.Thread(target=self._work, args=(block,), daemon=True) for block in self.blocks]
            try:
                for thread in threads:
                    thread.start()
                at_work = len(threads)
                while at_work:
                    if interrupt.asked:
                        self.stop = True
                    try:
                        lane = self.ended.get(timeout=0.05)
                    except queue.Empty:
                        continue
                    if lane is None:
                        at_work -= 1
                    else:
                        self._finish(lane)
            finally:
                self.stop = True  # the second Ctrl-C is an error here, and ends the workers after their segments
        if self.failure is not None:
            raise self.failure
        for lane in self.lanes:
            if lane.run.result == "running":
                if lane.carry is None:
                    lane.start()
                lane.run.interrupted = interrupt.asked and lane.goes_on
                lane.run.finish()
        compiles = self._compiled() - compiled
        return Runs([lane.run for lane in self.lanes], self.plan, time.perf_counter() - began, compiles)

    def _finish(self, lane: _Lane) -> None:
        """Settle the run of a lane that has ended, and tell of it."""
        lane.run.finish()
        if self.on_end is not None:
            self.on_end(lane.number, lane.run)

    def _compiled(self) -> int:
        """How many programs the segments of these lanes have been compiled to in this process."""
        functions: dict[int, Any] = {id(f): f for f in (block.compiled for block in self.blocks)}
        return sum(f._cache_size() for f in functions.values())

    def _next(self, shapes: Any = None) -> _Lane | None:
        with self.lock:
            lane = next((lane for lane in self.waiting if shapes in (None, lane.shapes)), None)
            if lane is not None:
                self.waiting.remove(lane)
            return lane

    def _work(self, block: _Single | _Block) -> None:
        try:
            with contextlib.ExitStack() as stack:
                for name, value in self.settings.items():
                    stack.enter_context(_SETTINGS[name](value))
                self._run(block)
        except BaseException as error:  # for the thread that waits
            self.failure, self.stop = error, True
        finally:
            self.ended.put(None)

    def _run(self, block: _Single | _Block) -> None:
        while not self.stop and block.fill(self._next):
            length = self.fixed_length or self.length
            done, seconds = block.advance(min(length, CAPACITY))
            if done:
                self.length = int(max(1, min(SEGMENT_SECONDS / (seconds / done), 8 * length)))
        block.release()
