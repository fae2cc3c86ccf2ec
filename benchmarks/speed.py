"""Time and memory of activations and losses beside jax.nn and optax.

    python benchmarks/speed.py --date 2025-01-31

Forward, and forward with gradient (the value and the gradient both returned), jitted, 10⁶ float32 elements. Ours and
theirs take turns and the median of the paired ratios counts. Memory: what the compiled gradient of a stack of 50
layers with the function needs beside its arguments and results.
"""

import argparse
import ctypes
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import _timing
import jaxdict as jd
from _formulas import formulas

PACKAGES = ("jax", "jaxlib", "optax", "numpy")
DEPTH = 50
COLUMNS = ("forward", "gradient", "memory", "memory, trained")
# Their derivative is made of the output alone, which the weights' gradient keeps anyway, and loses the tails for it.
FROM_THE_OUTPUT = ("tanh", "sigmoid")
ALL_HOLDS = (
    "All of it holds: no function above 1.25 (cross entropy over 10 classes 1.67 and cosine similarity 2.8 forward),\n"
    "the medians of the activations at most 0.9, no bare stack with more memory than theirs."
)


class Pair(NamedTuple):
    """Ours and theirs on the same arguments; the first is differentiated."""

    name: str
    kind: str
    ours: Callable[..., jax.Array]
    theirs: Callable[..., jax.Array]
    arguments: tuple[jax.Array, ...]
    limits: tuple[float, float] = (1.25, 1.25)  # forward, forward with gradient


def pairs() -> list[Pair]:
    key = jax.random.key(0)
    x = 4 * jax.random.normal(key, (1_000_000,))
    gated = 4 * jax.random.normal(key, (2_000_000,))
    found = [
        Pair(f.name, f.kind, f.ours, f.in_jax, (x,))
        for f in formulas()
        if f.in_jax is not None and f.name not in ("linear", "step")
    ]
    found.append(Pair("glu", "activation", jd.activations.glu, jax.nn.glu, (gated,)))
    few, many = (4 * jax.random.normal(key, shape) for shape in ((100_000, 10), (1000, 1000)))
    for z in (many, few):
        shape = f"{z.shape[0]}×{z.shape[1]}"
        found += [
            Pair(f"softmax, {shape}", "activation", jd.activations.softmax, jax.nn.softmax, (z,)),
            Pair(f"log_softmax, {shape}", "activation", jd.activations.log_softmax, jax.nn.log_softmax, (z,)),
        ]
    s = jd.losses
    for z in (many, few):
        shape = f"{z.shape[0]}×{z.shape[1]}"
        labels = jax.random.randint(key, z.shape[:1], 0, z.shape[1])
        dense = jax.nn.softmax(jax.random.normal(jax.random.key(1), z.shape))
        limits = (1.67, 1.25) if z.shape[1] == 10 else (1.25, 1.25)
        found += [
            Pair(f"sparse_softmax_cross_entropy, {shape}", "loss", s.sparse_softmax_cross_entropy,
                 optax.softmax_cross_entropy_with_integer_labels, (z, labels), limits),
            Pair(f"softmax_cross_entropy, {shape}", "loss", s.softmax_cross_entropy, optax.softmax_cross_entropy,
                 (z, dense), limits),
        ]  # fmt: skip
    other = jax.random.normal(jax.random.key(2), many.shape)
    found.append(
        Pair("cosine_similarity, 1000×1000", "loss", s.cosine_similarity,
             lambda a, b: optax.cosine_similarity(a, b), (many, other), (2.8, 1.25))
    )  # fmt: skip
    return found


def forward(function: Callable) -> Callable:
    return jax.jit(function)


def with_gradient(function: Callable) -> Callable:
    def both(x, *rest):
        value, pull = jax.vjp(lambda v: function(v, *rest), x)
        return value, pull(jnp.ones_like(value))[0]

    return jax.jit(both)


def paired_ratio(ours: Callable, theirs: Callable, arguments: tuple, rounds: int) -> float:
    for function in (ours, theirs):
        jax.block_until_ready(function(*arguments))
    ratios = []
    for turn in range(rounds):
        seconds = {}
        for function in (ours, theirs) if turn % 2 else (theirs, ours):
            started = time.perf_counter()
            jax.block_until_ready(function(*arguments))
            seconds[function] = time.perf_counter() - started
        ratios.append(seconds[ours] / seconds[theirs])
    return statistics.median(ratios)


def stack_memory(function: Callable, x: jax.Array, *, trained: bool) -> int:
    """Bytes of temporaries of the gradient through ``DEPTH`` layers ``function(x @ w)``.

    The products keep the layers apart. By the input alone a layer has to keep one array at most; by the weights too,
    its output besides.
    """
    x = x if x.ndim == 2 else x.reshape(-1, 100)

    def total(x, w):
        for _ in range(DEPTH):
            x = function(x @ w)
        return jnp.sum(x)

    by = (0, 1) if trained else 0
    lowered = jax.jit(jax.grad(total, by)).lower(x, jnp.eye(x.shape[-1]))
    return lowered.compile().memory_analysis().temp_size_in_bytes


def bare_memory(function: Callable, x: jax.Array) -> float:
    """The same of the functions alone, in arrays like ``x``: XLA fuses a stack that it can into one loop, with none."""

    def total(x):
        for _ in range(DEPTH):
            x = function(x)
        return jnp.sum(x)

    return jax.jit(jax.grad(total)).lower(x).compile().memory_analysis().temp_size_in_bytes / x.nbytes


def keep_memory() -> None:
    """Have the C library keep what is freed: results of 12 MB came from the system, whose page faults took 1.4 ms."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's
    if mallopt is not None:
        for option, value in ((-1, 1 << 30), (-3, 1 << 30), (-8, 1)):  # thresholds to trim and to map, arenas
            mallopt(option, value)


def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--only", default="", help="names, separated by semicolons")

    chosen = _timing.arguments(__doc__, options)
    wanted = [n.strip() for n in chosen.only.split(";") if n.strip()]
    rounds = 15 if chosen.quick else 200
    # On one core: on two, whether the system wakes the second thread in time decides for minutes, and for one function
    # and not for the other: the same pair was measured at 1.1 and at 1.8, on one core always at 1.03.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    keep_memory()
    measured: list[dict[str, Any]] = []
    for pair in pairs():
        if wanted and pair.name not in wanted:
            continue
        row = {"name": pair.name, "kind": pair.kind, "limits": pair.limits}
        row["forward"] = paired_ratio(forward(pair.ours), forward(pair.theirs), pair.arguments, rounds)
        row["gradient"] = paired_ratio(with_gradient(pair.ours), with_gradient(pair.theirs), pair.arguments, rounds)
        if pair.kind == "activation" and pair.name != "glu":  # which halves its input
            for name, trained in (("memory", False), ("memory, trained", True)):
                ours, theirs = (stack_memory(f, pair.arguments[0], trained=trained) for f in (pair.ours, pair.theirs))
                row[name] = ours / theirs
            row["bare"] = [bare_memory(f, pair.arguments[0]) for f in (pair.ours, pair.theirs)]
        print({k: v for k, v in row.items() if k not in ("kind", "limits")}, file=sys.stderr, flush=True)
        measured.append(row)
    missed = asked(measured)
    text = "\n\n".join(page(chosen.date, measured, missed, through_layers(measured)))
    _timing.publish("speed", text, {"rows": measured}, write=not chosen.quick and not wanted)
    sys.exit(bool(missed))


def asked(measured: Sequence[dict[str, Any]]) -> list[str]:
    """What is asked and was not met."""
    missed = []
    for row in measured:
        for what, limit in zip(("forward", "gradient"), row["limits"], strict=True):
            if row[what] > limit:
                missed.append(f"{row['name']}, {what}: {row[what]:.2f}, at most {limit:.2f}")
        ours, theirs = row.get("bare", (0, 0))
        if ours > 1.01 * theirs:
            missed.append(f"{row['name']}, bare stack: {ours:.1f} arrays, at most {theirs:.1f}")
    activations = [row for row in measured if row["kind"] == "activation"]
    for what in ("forward", "gradient"):
        middle = statistics.median(row[what] for row in activations) if activations else 0
        if middle > 0.9:
            missed.append(f"median over the activations, {what}: {middle:.2f}, at most 0.90")
    return missed


def through_layers(measured: Sequence[dict[str, Any]]) -> list[str]:
    """What needs more memory than theirs between products, which is a stricter measure of our own."""
    return [
        f"{row['name']}, {what}: {row[what]:.2f}"
        for row in measured
        for what in ("memory", "memory, trained")
        if row.get(what, 0) > 1.01 and not (what == "memory, trained" and row["name"] in FROM_THE_OUTPUT)
    ]


def page(date: str, measured: Sequence[dict[str, Any]], missed: Sequence[str], more: Sequence[str]) -> list[str]:
    rows = [
        [
            r["name"],
            *(f"{r[what]:.2f}" if what in r else "–" for what in COLUMNS),
            " / ".join(f"{arrays:.1f}" for arrays in r["bare"]) if "bare" in r else "–",
        ]
        for r in measured
    ]
    activations = [r for r in measured if r["kind"] == "activation"]
    if activations:
        middle = [f"{statistics.median(r[what] for r in activations if what in r):.2f}" for what in COLUMNS]
        rows.append(["**median of the activations**", *middle, "–"])
    return [
        "# Time and memory of activations and losses",
        "\n".join(_timing.machine(PACKAGES, date)),
        "`benchmarks/speed.py`: ours ÷ jax.nn's or optax's, medians of paired ratios, jitted, 10⁶ float32 elements,\n"
        "on one core: on two, whether the system wakes the second thread in time makes 1.1 or 1.8 of the same pair.\n"
        f"Memory: temporaries of the compiled gradient through {DEPTH} layers f(x @ w), by the input, and by the\n"
        "weights too; there tanh and sigmoid need their input besides their output, for the output does not hold the\n"
        "digits of the derivative's tail. Bare stack: of 50 times the function alone, in arrays of the input's size,\n"
        "ours / theirs.",
        _timing.table(["", "forward", "forward and gradient", "memory", "memory, weights trained", "bare stack"], rows),
        "## What is asked\n\n" + ("\n".join(f"- missed: {m}" for m in missed) or ALL_HOLDS),
        "Above 1 through layers, which is not asked: " + ("; ".join(more) or "none") + ".",
    ]


if __name__ == "__main__":
    main()
