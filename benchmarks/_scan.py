"""Hand-written JAX: a jitted step in a loop, bare scans, and a scan that does the same work as ``fit``."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from _workloads import Task


def initialize(key: jax.Array, widths: tuple[int, ...]) -> list[tuple[jax.Array, jax.Array]]:
    keys = jax.random.split(key, len(widths) - 1)
    return [
        (jax.random.normal(k, (i, o)) * jnp.sqrt(2 / i), jnp.zeros(o))
        for k, i, o in zip(keys, widths, widths[1:], strict=False)
    ]


def forward(params, x):
    for weight, bias in params[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = params[-1]
    return x @ weight + bias


def losses(logits, labels):
    picked = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(logits, axis=1) - picked


def shuffled(key, epoch, count: int):
    """A permutation by one sort of 32 random bits each."""
    bits = jax.random.bits(jax.random.fold_in(key, epoch), (count,))
    return lax.sort_key_val(bits, lax.iota(jnp.int32, count))[1]


class HandAdam(NamedTuple):
    """Adam written out, with optax's pair of functions."""

    rate: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8

    def init(self, params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return jnp.zeros((), jnp.int32), zeros, zeros

    def apply(self, grads, state, params):
        count, m, v = state
        count += 1
        m = jax.tree.map(lambda m, g: self.b1 * m + (1 - self.b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: self.b2 * v + (1 - self.b2) * g * g, v, grads)
        rate, root = self.rate / (1 - self.b1**count), lax.rsqrt(1 - self.b2**count)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * root + self.eps), params, m, v)
        return params, (count, m, v)


class OptaxAdam:
    """optax's Adam as people use it."""

    def __init__(self):
        self.transformation = optax.adam(1e-3)
        self.init = self.transformation.init

    def apply(self, grads, state, params):
        updates, state = self.transformation.update(grads, state, params)
        return optax.apply_updates(params, updates), state


def step(optimizer, carry, x, y):
    """One plain step: the carry and the batch's mean loss."""
    params, state = carry
    loss, grads = jax.value_and_grad(lambda p: losses(forward(p, x), y).mean())(params)
    return optimizer.apply(grads, state, params), loss


def starter(task: Task, optimizer):
    """Key to parameters and optimizer state, one compiled program."""

    @jax.jit
    def start(key):
        params = initialize(key, task.widths)
        return params, optimizer.init(params)

    return start


def loop(task: Task) -> Callable[[int], None]:
    """A jitted step, donated, in a Python loop; the batch is taken inside the step, which counts for itself."""
    x, y, *_ = task.on_device()
    optimizer = OptaxAdam()
    start = starter(task, optimizer)
    key = jax.random.key(1)
    order = jax.jit(functools.partial(shuffled, count=task.examples))

    @functools.partial(jax.jit, donate_argnums=0)
    def train(carry, x, y, rows):
        index, inner = carry
        batch = lax.dynamic_slice(rows, (index % task.steps * task.batch,), (task.batch,))
        inner, loss = step(optimizer, inner, x[batch], y[batch])
        return (index + 1, inner), loss

    def run(epochs: int) -> None:
        carry = jnp.zeros((), jnp.int32), start(jax.random.key(0))
        for epoch in range(epochs):
            rows = order(key, epoch)
            for _ in range(task.steps):
                carry, _ = train(carry, x, y, rows)
        jax.block_until_ready(carry)

    return run


def bare(task: Task, optimizer: Any) -> Callable[[int], None]:
    """Full batches only, no validation, nothing kept but the epoch's mean loss."""
    x, y, *_ = task.on_device()
    start = starter(task, optimizer)

    @functools.partial(jax.jit, static_argnames="epochs")
    def train(carry, key, x, y, epochs: int):
        def epoch_of(carry, epoch):
            rows = shuffled(key, epoch, task.examples)[: task.steps * task.batch].reshape(task.steps, task.batch)
            carry, values = lax.scan(lambda c, rows: step(optimizer, c, x[rows], y[rows]), carry, rows)
            return carry, values.mean()

        return lax.scan(epoch_of, carry, jnp.arange(epochs))

    def run(epochs: int) -> None:
        jax.block_until_ready(train(start(jax.random.key(0)), jax.random.key(1), x, y, epochs))

    return run


def bare_optax(task: Task) -> Callable[[int], None]:
    return bare(task, OptaxAdam())


def bare_hand(task: Task) -> Callable[[int], None]:
    return bare(task, HandAdam())


def same_work(task: Task) -> Callable[[int], None]:
    """What ``fit`` does: every example once an epoch, loss and accuracy of both parts, a copy of the best so far."""
    x, y, x_validation, y_validation = task.on_device()
    optimizer = OptaxAdam()
    start = starter(task, optimizer)
    steps = -(-task.examples // task.batch)

    def masked_step(carry, x, y, mask):
        params, state = carry

        def loss_of(params):
            logits = forward(params, x)
            return jnp.sum(losses(logits, y) * mask) / mask.sum(), logits

        (loss, logits), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        hits = jnp.sum((logits.argmax(1) == y) * mask)
        return optimizer.apply(grads, state, params), jnp.stack([loss * mask.sum(), hits])

    @functools.partial(jax.jit, static_argnames="epochs")
    def train(carry, key, x, y, x_validation, y_validation, epochs: int):
        mask = (jnp.arange(steps * task.batch) < task.examples).astype(x.dtype).reshape(steps, task.batch)

        def epoch_of(carry, epoch):
            inner, (best, best_loss) = carry
            rows = shuffled(key, epoch, task.examples)
            rows = jnp.pad(rows, (0, steps * task.batch - task.examples)).reshape(steps, task.batch)
            inner, sums = lax.scan(lambda c, b: masked_step(c, x[b[0]], y[b[0]], b[1]), inner, (rows, mask))
            params = inner[0]
            logits = forward(params, x_validation)
            loss = losses(logits, y_validation).mean()
            better = loss < best_loss
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), params, best)
            history = jnp.stack([*(sums.sum(0) / task.examples), loss, (logits.argmax(1) == y_validation).mean()])
            return (inner, (best, jnp.minimum(loss, best_loss))), history

        return lax.scan(epoch_of, (carry, (carry[0], jnp.inf)), jnp.arange(epochs))

    def run(epochs: int) -> None:
        carry = start(jax.random.key(0))
        jax.block_until_ready(train(carry, jax.random.key(1), x, y, x_validation, y_validation, epochs))

    return run
