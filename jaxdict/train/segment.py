"""The segment: many epochs as one compiled program, data resident on the device and shuffled there.

A ``while_loop`` over epochs with a traced end, so that one compilation serves every segment length and segments of any
length give the same bits. The last partial batch is a full step divided by its own number of examples: masked where
the model treats examples one by one, a step of its own shape where it does not (or where nothing is known of it).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import NamedSharding, PartitionSpec

from jaxdict import metrics as metrics_room
from jaxdict.layers import Model, child
from jaxdict.train.observers import Observer, Snapshot, scale_of
from jaxdict.train.step import (
    Batch,
    Parts,
    Sums,
    TrainState,
    build_evaluate,
    build_update,
    fill,
    fold_sums,
    matching,
    merge_sums,
    resolve_optimizer,
    row_of,
)

CAPACITY = 128  # epochs that one segment can hold rows of
VALIDATION_CHUNK = 4096  # examples evaluated at once, so that memory stays bounded
RUNNING, STOPPED, DIVERGED = 0, 1, 2
_QUICK = {"xla_backend_optimization_level": 1}


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that is static about a run. Equal plans share one compiled program."""

    model: Any  # a Model, or a function of hyperparameters that gives one
    loss: Callable
    optimizer: Any
    penalty: Callable | None
    augment: Callable | None
    streams: tuple[tuple[str, metrics_room.Stream], ...]
    observers: tuple[Observer, ...]
    batch_size: int
    by_count: bool
    precision: str | None
    accumulation: int
    masked_tail: bool
    mesh: jax.sharding.Mesh | None = None  # of devices that share each batch out, along its axis "data"


class Data(NamedTuple):
    """What is resident on the device: examples with optional weights, and optional validation examples.

    ``indices`` are the positions of the examples that a run trains on, and ``held`` of those that it is validated on,
    in place of ``validation``; where they are None, it trains on all.
    """

    inputs: Any
    targets: Any
    weights: jax.Array | None = None
    validation: Batch | None = None
    indices: jax.Array | None = None
    held: jax.Array | None = None


class Carry(NamedTuple):
    """A run between two epochs: everything that the next epoch depends on besides data, key and hyperparameters."""

    train: TrainState
    epoch: jax.Array  # finished epochs
    memories: tuple
    rows: dict[str, jax.Array]  # (CAPACITY,) by column, the rows of the running segment
    code: jax.Array  # RUNNING, STOPPED or DIVERGED


def bind(plan: Plan, hyperparameters: Mapping[str, Any]) -> Parts:
    """The parts of the objective with the hyperparameters filled in, concrete or traced."""
    model = plan.model
    if not isinstance(model, Model):
        model = model(**matching(model, hyperparameters))
    optimizer = plan.optimizer
    if not hasattr(optimizer, "update"):
        optimizer = resolve_optimizer(optimizer, **matching(optimizer, hyperparameters))
    return Parts(
        model=model,
        loss=fill(plan.loss, hyperparameters, skip=2),
        optimizer=optimizer,
        penalty=None if plan.penalty is None else fill(plan.penalty, hyperparameters, skip=1),
        streams=dict(plan.streams),
        augment=plan.augment,
        by_count=plan.by_count,
        precision=plan.precision,
        accumulation=plan.accumulation,
    )


def shuffle(key: jax.Array, count: int) -> jax.Array:
    """A random order of ``count`` examples, int32 ``(count,)``: sorts of random bits with the position packed below.

    Sorting one array is several times faster than sorting keys beside values. A pass has ``32 - position bits`` random
    bits; passes are added until there are 32, but for short arrays, where ties are rare and their order is made random
    by flipping the same random bits of every position. Each pass hashes the positions with 96 random bits of its own:
    threefry for every position would take as long as the sort.
    """
    low = max(1, (count - 1).bit_length())
    places = jnp.uint32((1 << low) - 1)
    position = jnp.arange(count, dtype=jnp.uint32)
    passes = 1 if low <= 11 else -(-32 // (32 - low))
    order = position
    for first, second, flip in jax.random.bits(key, (passes, 3), jnp.uint32):
        bits = _scramble(_scramble(position ^ first) + second)
        packed = lax.sort((bits << low) | (position ^ (flip & places)), is_stable=False)
        ranks = (packed & places) ^ (flip & places)
        order = ranks if passes == 1 else order[ranks]
    return order.astype(jnp.int32)


def _scramble(h: jax.Array) -> jax.Array:
    """MurmurHash3's finalizer: a bijection in which every input bit flips every output bit about half the time."""
    h = (h ^ (h >> 16)) * jnp.uint32(0x85EBCA6B)
    h = (h ^ (h >> 13)) * jnp.uint32(0xC2B2AE35)
    return h ^ (h >> 16)


def take(tree: Any, indices: jax.Array) -> Any:
    """The examples at ``indices`` of every leaf; indices are known to be in range."""
    return jax.tree.map(lambda x: x.at[indices].get(mode="promise_in_bounds"), tree)


def find_rate(optimizer_state: Any) -> jax.Array | None:
    """The learning rate that an optimizer's state holds under that name, or None."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(optimizer_state):
        last = path[-1] if path else None
        if "learning_rate" in (getattr(last, "name", None), getattr(last, "key", None)) and jnp.ndim(leaf) == 0:
            return leaf
    return None


def all_finite(tree: Any) -> jax.Array:
    """Whether every floating leaf is finite throughout. One reduction over all of them compiles fastest."""
    floats = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    return jnp.all(jnp.isfinite(ravel_pytree(floats)[0]))


def count_of(tree: Any) -> int:
    """The number of examples."""
    return jax.tree.leaves(tree)[0].shape[0]


class Keys(NamedTuple):
    """The keys of a run. An epoch's are folded from them by its number, so that they depend on nothing else."""

    init: jax.Array
    shuffle: jax.Array
    steps: jax.Array

    @classmethod
    def of(cls, key: jax.Array) -> "Keys":
        return _keys(key)


@jax.jit
def _keys(key: jax.Array) -> Keys:
    return Keys(*(child(key, name) for name in Keys._fields))


class Program(NamedTuple):
    """The compiled functions of a plan, as jit gives them: with ``lower`` and ``eval_shape``."""

    start: Any
    segment: Any
    chunk: Any
    finish: Any
    evaluate: Any


@functools.lru_cache(maxsize=64)
def program(plan: Plan) -> Program:
    """The program of ``plan``; the same object for equal plans, so that nothing is compiled twice."""

    def shared_out(batch: Batch) -> Batch:
        """Each device gets its part of the examples; XLA adds up what they give for the parameters they all hold."""
        if plan.mesh is None or count_of(batch.inputs) % plan.mesh.shape["data"]:
            return batch
        return lax.with_sharding_constraint(batch, NamedSharding(mesh_here(), PartitionSpec("data")))

    def everywhere(carry: Carry) -> Carry:
        """The state whole on each device, whatever the compiler would prefer."""
        if plan.mesh is None:
            return carry
        return lax.with_sharding_constraint(carry, NamedSharding(mesh_here(), PartitionSpec()))

    def mesh_here() -> Any:
        """The mesh, or what of it is left to the compiler within a shard_map."""
        here = jax.sharding.get_abstract_mesh()
        return plan.mesh if here.empty else here

    def evaluate_all(parts: Parts, train: TrainState, batch: Batch) -> dict[str, jax.Array]:
        one = build_evaluate(parts)
        count = count_of(batch.inputs)
        if count <= VALIDATION_CHUNK:
            return row_of(parts._replace(penalty=None), one(train.params, train.state, shared_out(batch)))
        chunks = -(-count // VALIDATION_CHUNK)

        def measure(i):
            positions = i * VALIDATION_CHUNK + jnp.arange(VALIDATION_CHUNK)
            part = take(batch, jnp.minimum(positions, count - 1))
            return one(train.params, train.state, shared_out(part._replace(present=positions < count)))

        each = lax.map(measure, jnp.arange(chunks))
        return row_of(parts._replace(penalty=None), fold_sums(parts.streams, each))

    def run_epoch(parts: Parts, data: Data, train: TrainState, keys: Keys, number, scale) -> tuple[TrainState, Sums]:
        update = build_update(parts, scale=scale)
        count = count_of(data.inputs if data.indices is None else data.indices)
        size = min(plan.batch_size, count)
        full, tail = divmod(count, size)
        order = shuffle(jax.random.fold_in(keys.shuffle, number), count)
        if data.indices is not None:
            order = take(data.indices, order)
        steps_key = jax.random.fold_in(keys.steps, number)
        masked = tail > 0 and plan.masked_tail
        if masked:
            full, tail = full + 1, 0
            order = jnp.concatenate([order, jnp.zeros(full * size - count, jnp.int32)])

        def batch_at(indices, number):
            present = number * size + jnp.arange(size) < count if masked else None
            weights = None if data.weights is None else take(data.weights, indices)
            return shared_out(Batch(take(data.inputs, indices), take(data.targets, indices), weights, present))

        def step(train, at):
            number, indices = at
            return update(train, batch_at(indices, number), jax.random.fold_in(steps_key, number))

        batches = order[: full * size].reshape(full, size)
        train, each = lax.scan(step, train, (jnp.arange(full), batches))
        sums = fold_sums(parts.streams, each)
        if tail:
            last = order[full * size :]
            weights = None if data.weights is None else take(data.weights, last)
            batch = Batch(take(data.inputs, last), take(data.targets, last), weights)
            train, new = update(train, batch, jax.random.fold_in(steps_key, full))
            sums = merge_sums(parts.streams, sums, new)
        return train, sums

    def end_epoch(parts: Parts, old: TrainState, carry: Carry, sums: Sums, validation: Batch | None, at) -> Carry:
        """Row, divergence check, validation and observers after an epoch; ``carry.train`` is the new state."""
        row = row_of(parts, sums)
        for name, value in row.items():
            if value.ndim:
                hint = "a history holds numbers; leave it to Run.evaluate(data, metrics=…)"
                raise ValueError(f"metric {name!r} gives an array {value.shape}: {hint}")
        finite = jnp.isfinite(row["loss"]) & all_finite(carry.train.params)
        train = lax.cond(finite, lambda: carry.train, lambda: old)
        rate = find_rate(carry.train.optimizer_state)
        if validation is not None:
            row |= {f"validation_{name}": value for name, value in evaluate_all(parts, train, validation).items()}
        if rate is not None:
            scale = scale_of(plan.observers, carry.memories)
            row["learning_rate"] = rate if scale is None else rate * scale
        epoch = carry.epoch + 1
        seen = {name: value.astype(jnp.float32) for name, value in row.items()}
        seen["auto"] = seen.get("validation_loss", seen["loss"])
        memories, stop = [], jnp.bool_(False)
        for observer, memory in zip(plan.observers, carry.memories, strict=True):
            memory, wants = observer.update(memory, Snapshot(train.params, train.state, epoch, seen))
            memories.append(memory)
            stop = stop | wants
        code = jnp.where(finite, jnp.where(stop, STOPPED, RUNNING), DIVERGED).astype(jnp.int32)
        rows = {name: values.at[at].set(row[name].astype(values.dtype)) for name, values in carry.rows.items()}
        return Carry(train, epoch, tuple(memories), rows, code)

    def columns(parts: Parts, optimizer_state: Any, validated: bool) -> list[str]:
        own = ["loss", *(["penalty"] if parts.penalty is not None else []), *parts.streams]
        held = [f"validation_{name}" for name in ("loss", *parts.streams)] if validated else []
        return own + held + (["learning_rate"] if find_rate(optimizer_state) is not None else [])

    # Run once a lane, so that compiling it fast matters more than fast code; but at level 0 lanes wait for it.
    @functools.partial(jax.jit, static_argnames=("input_shape", "validated"), compiler_options=_QUICK)
    def start(keys: Keys, hyperparameters, params=None, state=None, *, input_shape, validated) -> Carry:
        parts = bind(plan, hyperparameters)
        if params is None:
            params, state, _ = parts.model.init(keys.init, jax.tree.unflatten(*input_shape))
        train = TrainState(params, state, parts.optimizer.init(params))
        memories = tuple(o.init(Snapshot(params, state, jnp.int32(0), {})) for o in plan.observers)
        rows = {name: jnp.zeros(CAPACITY) for name in columns(parts, train.optimizer_state, validated)}
        return Carry(train, jnp.int32(0), memories, rows, jnp.int32(RUNNING))

    @functools.partial(jax.jit, donate_argnums=0)
    def segment(carry: Carry, data: Data, keys: Keys, hyperparameters, end, turns=None) -> Carry:
        """Epochs up to ``end``; in so many ``turns`` where others take as many, of which those too many do nothing."""
        parts = bind(plan, hyperparameters)
        first = carry.epoch
        validation = data.validation
        if data.held is not None:
            validation = Batch(take(data.inputs, data.held), take(data.targets, data.held))

        def epoch(carry: Carry) -> Carry:
            scale = scale_of(plan.observers, carry.memories)
            train, sums = run_epoch(parts, data, carry.train, keys, carry.epoch, scale)
            at = carry.epoch - first
            return everywhere(end_epoch(parts, carry.train, carry._replace(train=train), sums, validation, at))

        def goes_on(carry: Carry) -> jax.Array:
            return (carry.epoch < end) & (carry.code == RUNNING)

        def turn(_, carry: Carry) -> Carry:
            on = goes_on(carry)
            return jax.tree.map(lambda new, old: jnp.where(on, new, old), epoch(carry), carry)

        return lax.while_loop(goes_on, epoch, carry) if turns is None else lax.fori_loop(0, turns, turn, carry)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def chunk(train: TrainState, sums: Sums | None, batches: Batch, steps_key, number, hyperparameters, scale):
        """Steps over batches stacked on a first axis, the first of them being step ``number`` of the epoch."""
        parts = bind(plan, hyperparameters)
        update = build_update(parts, scale=scale)

        def step(train, at):
            i, batch = at
            return update(train, shared_out(batch), jax.random.fold_in(steps_key, i))

        train, each = lax.scan(step, train, (number + jnp.arange(count_of(batches)), batches))
        new = fold_sums(parts.streams, each)
        return train, new if sums is None else merge_sums(parts.streams, sums, new)

    @jax.jit
    def finish(old: TrainState, carry: Carry, sums: Sums, validation: Batch | None, at, hyperparameters) -> Carry:
        return everywhere(end_epoch(bind(plan, hyperparameters), old, carry, sums, validation, at))

    @jax.jit
    def evaluate(train: TrainState, batch: Batch, hyperparameters) -> dict[str, jax.Array]:
        return evaluate_all(bind(plan, hyperparameters), train, batch)

    return Program(start, segment, chunk, finish, evaluate)
