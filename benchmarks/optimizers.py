"""One update of Adam, applied: ours beside optax and PyTorch, and parameters stored packed.

    python benchmarks/optimizers.py --date 2025-01-31

Jitted and donated, float32, alternating. Four trees: one leaf of 10⁷, ten of 10⁶, a thousand of 10³, and three thousand
of mixed sizes. Compiling is measured in fresh functions, in turns too, memory as the compiled program says it.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import _timing
import jaxdict as jd

PACKAGES = ("jax", "jaxlib", "optax", "torch", "numpy")
RATE = 1e-3
TREES = {
    "1 × 10⁷": [10_000_000],
    "10 × 10⁶": [1_000_000] * 10,
    "1000 × 10³": [1_000] * 1_000,
    "3000 mixed": [int(n) for n in np.random.default_rng(0).choice([10, 64, 100, 640, 1000, 4096], 3_000)],
}
RULES = {
    "gradient_descent": (lambda: jd.optimizers.gradient_descent(RATE), lambda: optax.sgd(RATE)),
    "momentum": (lambda: jd.optimizers.momentum(RATE), lambda: optax.sgd(RATE, momentum=0.9)),
    "nesterov_bengio": (
        lambda: jd.optimizers.nesterov_bengio(RATE), lambda: optax.sgd(RATE, momentum=0.9, nesterov=True)
    ),
    "adagrad": (lambda: jd.optimizers.adagrad(RATE), lambda: optax.adagrad(RATE)),
    "rmsprop": (lambda: jd.optimizers.rmsprop(RATE), lambda: optax.rmsprop(RATE)),
    "adadelta": (lambda: jd.optimizers.adadelta(), lambda: optax.adadelta(1.0)),
    "adam": (lambda: jd.optimizers.adam(RATE), lambda: optax.adam(RATE)),
    "adamax": (lambda: jd.optimizers.adamax(RATE), lambda: optax.adamax(RATE)),
    "nadam": (lambda: jd.optimizers.nadam(RATE), lambda: optax.nadam(RATE)),
    "amsgrad": (lambda: jd.optimizers.amsgrad(RATE), lambda: optax.amsgrad(RATE)),
}  # fmt: skip
Step = Callable[[], None]


def leaves(sizes: list[int], seed: int) -> dict[str, jax.Array]:
    rng = np.random.default_rng(seed)
    return {f"{i:04d}": jnp.asarray(rng.normal(size=n), jnp.float32) for i, n in enumerate(sizes)}


class Jax:
    """Update and apply as one program whose parameters and state are donated; the gradients are kept."""

    def __init__(self, optimizer: Any, params: Any, gradients: Any):
        self.optimizer, self.gradients = optimizer, gradients
        params = jax.tree.map(jnp.copy, params)
        self.held = params, jax.tree.map(jnp.asarray, optimizer.init(params))
        self.compile()
        memory = self.compiled.memory_analysis()
        self.temporary = memory.temp_size_in_bytes if memory else 0

    def compile(self) -> float:
        """The seconds to trace and compile the step, as a function that jax has not seen."""

        def step(params, state, gradients):
            updates, state = self.optimizer.update(gradients, state, params)
            return optax.apply_updates(params, updates), state

        started = time.perf_counter()
        self.compiled = jax.jit(step, donate_argnums=(0, 1)).lower(*self.held, self.gradients).compile()
        return time.perf_counter() - started

    def __call__(self) -> float:
        started = time.perf_counter()
        self.held = jax.block_until_ready(self.compiled(*self.held, self.gradients))
        return time.perf_counter() - started


class Torch:
    """torch.optim.Adam's step, foreach or fused."""

    def __init__(self, params: Mapping[str, jax.Array], gradients: Mapping[str, jax.Array], **options: bool):
        tensors = [torch.tensor(np.asarray(p)) for p in params.values()]
        for tensor, gradient in zip(tensors, gradients.values(), strict=True):
            tensor.grad = torch.tensor(np.asarray(gradient))
        self.optimizer = torch.optim.Adam(tensors, lr=RATE, **options)

    def __call__(self) -> float:
        started = time.perf_counter()
        self.optimizer.step()
        seconds = time.perf_counter() - started
        time.sleep(0.05)  # its threads go on spinning for a while, at the cost of whose turn is next
        return seconds


def contenders(sizes: list[int]) -> dict[str, Any]:
    params, gradients = leaves(sizes, 0), leaves(sizes, 1)
    layout = jd.optimizers.packing(params)
    adam = jd.optimizers.adam(RATE)
    return {
        "jaxdict": Jax(adam, params, gradients),
        "optax": Jax(optax.adam(RATE), params, gradients),
        "jaxdict, packed": Jax(jd.optimizers.packed(adam, layout), layout.pack(params), gradients),
        "jaxdict, packed, gradients too": Jax(
            jd.optimizers.packed(adam, layout), layout.pack(params), layout.pack(gradients)
        ),
        "torch, foreach": Torch(params, gradients, foreach=True),
        "torch, fused": Torch(params, gradients, fused=True),
    }  # fmt: skip


def alternating(steps: Mapping[str, Callable[[], float]], rounds: int, before: int = 2) -> dict[str, list[float]]:
    """The seconds of every turn, after those ``before`` that do not count."""
    for step in steps.values():
        for _ in range(before):
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _, name in _timing.alternate(steps, rounds):
        seconds[name].append(steps[name]())
    return seconds


def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--rounds", type=int, default=100, help="turns of each contender")

    chosen = _timing.arguments(__doc__, options)
    rounds, compile_rounds = (5, 3) if chosen.quick else (chosen.rounds, 15)
    data: dict[str, Any] = {"trees": {}, "rules": {}}
    for tree, sizes in TREES.items():
        steps = contenders(sizes)
        compiles = {name: step.compile for name, step in steps.items() if isinstance(step, Jax)}
        compiling = alternating(compiles, compile_rounds) if len(sizes) < 100 else alternating(compiles, 1, before=0)
        seconds = alternating(steps, rounds)
        data["trees"][tree] = {
            name: {
                "ms": 1e3 * statistics.median(seconds[name]),
                "ratio": _timing.ratio(seconds[name], seconds["optax"]),
                "compile": statistics.median(compiling[name]) if name in compiling else None,
                "temporary": getattr(step, "temporary", None),
            }
            for name, step in steps.items()
        }
        print(tree, data["trees"][tree], file=sys.stderr, flush=True)
        del steps
    params, gradients = leaves(TREES["10 × 10⁶"], 0), leaves(TREES["10 × 10⁶"], 1)
    for name, (ours, theirs) in RULES.items():
        steps = {"ours": Jax(ours(), params, gradients), "theirs": Jax(theirs(), params, gradients)}
        compiling = alternating({n: step.compile for n, step in steps.items()}, compile_rounds)
        seconds = alternating(steps, rounds)
        data["rules"][name] = {
            "ratio": _timing.ratio(seconds["ours"], seconds["theirs"]),
            "compile": _timing.ratio(compiling["ours"], compiling["theirs"]),
            "temporary": [step.temporary for step in steps.values()],
        }
        print(name, data["rules"][name], file=sys.stderr, flush=True)
    _timing.publish("optimizers", "\n\n".join(page(chosen.date, data)), data, write=not chosen.quick)


def page(date: str, data: dict[str, Any]) -> list[str]:
    rows = [
        [
            f"{tree}: {name}", f"{r['ms']:.2f}", f"{r['ratio']:.2f}",
            "–" if r["compile"] is None else f"{r['compile']:.2f}",
            "–" if r["temporary"] is None else f"{r['temporary'] / 2**20:.1f}",
        ]
        for tree, contenders in data["trees"].items()
        for name, r in contenders.items()
    ]  # fmt: skip
    rules = [
        [name, f"{r['ratio']:.2f}", f"{r['compile']:.2f}", " and ".join(f"{n / 2**20:.1f}" for n in r["temporary"])]
        for name, r in data["rules"].items()
    ]
    return [
        "# One update of an optimizer",
        "\n".join(_timing.machine(PACKAGES, date)),
        "`benchmarks/optimizers.py`: update and apply, jitted and donated, float32; medians of alternating turns.\n"
        "Ratios are medians of the ratios of the turns.",
        "## Adam over four trees",
        _timing.table(["", "ms", "÷ optax", "trace and compile, s", "temporary memory, MiB"], rows),
        "## Every rule that optax has too, ours ÷ optax's, over 10 leaves of 10⁶",
        _timing.table(["", "time", "trace and compile", "temporary memory, MiB: ours, optax's"], rules),
    ]


if __name__ == "__main__":
    main()
