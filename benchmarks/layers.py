"""Time of convolutions and pooling beside flax.linen, alone and within a loop, as training has them.

    python benchmarks/layers.py --date 2025-01-31

Forward, and forward with the gradients by inputs and parameters, jitted, float32, ours and theirs in turns in one
process; the median of the paired ratios counts, and 1.05 is allowed. Within a loop: the same step in a ``lax.scan``,
time per step over that of the jitted step alone.
"""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen

import _timing
from jaxdict import layers

PACKAGES = ("jax", "jaxlib", "flax", "numpy")
LIMIT = 1.05
LOOP = 4
Step = Callable[[Any, jax.Array], Any]


class Pair(NamedTuple):
    """One setting of both."""

    name: str
    ours: Any
    theirs: Any
    shape: tuple[int, ...]


def pairs() -> list[Pair]:
    images, small, signal = (32, 28, 28, 32), (32, 14, 14, 32), (32, 256, 32)
    found = [
        Pair(f"conv 3×3, 32→64, {shape[1]}×{shape[2]}", layers.conv(64, (3, 3)), linen.Conv(64, (3, 3)), shape)
        for shape in (images, small)
    ]
    depthwise = linen.Conv(32, (3, 3), feature_group_count=32)
    found += [
        Pair("conv 3×3, stride 2", layers.conv(64, (3, 3), strides=2), linen.Conv(64, (3, 3), strides=2), images),
        Pair("conv 5, 32→64, 256 long", layers.conv(64, (5,)), linen.Conv(64, (5,)), signal),
        Pair("depthwise_conv 3×3, 32", layers.depthwise_conv((3, 3)), depthwise, images),
    ]
    window = {"window_shape": (2, 2), "strides": (2, 2)}
    found += [
        Pair("max_pool 2×2", layers.max_pool((2, 2)), functools.partial(linen.max_pool, **window), images),
        Pair("average_pool 2×2", layers.average_pool((2, 2)), functools.partial(linen.avg_pool, **window), images),
    ]
    return found


def applied(pair: Pair) -> tuple[Any, Callable, Any, Callable]:
    """Parameters and application of both."""
    params, state, _ = pair.ours.init(jax.random.key(0), pair.shape[1:])
    ours = lambda params, x: pair.ours.apply(params, state, x, train=True)[0]  # noqa: E731
    if not isinstance(pair.theirs, linen.Module):
        return params, ours, params, lambda params, x: pair.theirs(x)
    held = pair.theirs.init(jax.random.key(0), jnp.ones((1, *pair.shape[1:])))
    return params, ours, held, pair.theirs.apply


def with_gradient(apply: Callable) -> Step:
    def both(params, x):
        y, pull = jax.vjp(apply, params, x)
        return y, pull(y)

    return both


def looped(step: Step) -> Step:
    """The step some times over; each begins where the one before ended, and nothing is left out of it."""

    def run(params, x):
        def body(carry, _):
            results = step(*carry)
            total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(results))
            return jax.tree.map(lambda a: a + 1e-30 * total, carry), None

        return jax.lax.scan(body, (params, x), None, length=LOOP)[0]

    return run


def seconds(function: Callable, *arguments: Any) -> float:
    started = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - started


def compared(ours: Callable, theirs: Callable, rounds: int) -> tuple[float, float, float]:
    """Median time of both, and the median of the ratios."""
    calls = {"ours": ours, "theirs": theirs}
    for call in calls.values():
        seconds(call)
        seconds(call)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _, name in _timing.alternate(calls, rounds):
        times[name].append(seconds(calls[name]))
    medians = [statistics.median(times[name]) for name in calls]
    return medians[0], medians[1], _timing.ratio(times["ours"], times["theirs"])


def main() -> None:
    options = _timing.arguments(__doc__, lambda p: p.add_argument("--rounds", type=int, default=41))
    rounds = 3 if options.quick else options.rounds
    rows, data = [], {}
    for pair in pairs():
        params, ours, held, theirs = applied(pair)
        x = jax.random.normal(jax.random.key(1), pair.shape)
        row, kept = [pair.name], {}
        for what, wrap in (("forward", lambda f: f), ("gradient", with_gradient)):
            mine, other = jax.jit(wrap(ours)), jax.jit(wrap(theirs))
            found = compared(functools.partial(mine, params, x), functools.partial(other, held, x), rounds)
            kept[what] = found
            row += [f"{found[0] * 1e3:.2f}", f"{found[2]:.2f}"]
        loops = [jax.jit(looped(with_gradient(f))) for f in (ours, theirs)]
        calls = (functools.partial(loops[0], params, x), functools.partial(loops[1], held, x))
        found = compared(*calls, max(3, rounds // 4))
        kept["loop"] = found
        row += [f"{t / LOOP / kept['gradient'][i]:.1f}" for i, t in enumerate(found[:2])]
        row.append("yes" if max(kept["forward"][2], kept["gradient"][2]) <= LIMIT else "**no**")
        rows.append(row)
        data[pair.name] = kept
        print(*row, flush=True)
    head = [
        "batch 32",
        "forward, ms",
        "over flax",
        "with gradient, ms",
        "over flax",
        "in a loop",
        "flax in a loop",
        "holds",
    ]
    note = (
        f"`benchmarks/layers.py`: medians of {rounds} turns, float32, jitted, one process; at most {LIMIT} is asked.\n"
        "In a loop: the step with gradient within `lax.scan`, per step, over the same step alone."
    )
    text = "\n\n".join(
        [
            "# Layers beside flax.linen",
            "\n".join(_timing.machine(PACKAGES, options.date)),
            note,
            _timing.table(head, rows),
        ]
    )
    _timing.publish("layers", text, data, write=not options.quick)


if __name__ == "__main__":
    main()
