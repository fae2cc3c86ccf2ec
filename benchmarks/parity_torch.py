"""Is it torch? jaxdict's optimizers and schedulers of torch's names beside torch's own, on the same gradients.

    python benchmarks/parity_torch.py --date 2025-01-31     # all of it, ten minutes on two busy cores
    python benchmarks/parity_torch.py --record              # rewrites tests/recorded/torch_optimizers.json

Random configurations, 1,000 steps. Hyperparameters are data: configurations of one structure are one program. float64
differences are relative to the largest parameter of the run at that step. float32 configurations have hyperparameters
that float32 holds, and differ by units in the last place of the parameters' root mean square.
"""

import argparse
import collections
import json
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import _timing
from _torch_cases import OPTIMIZERS, Case, draw, draw_spec, record
from _torch_runs import (
    our_optimizer,
    our_runs,
    our_scheduler,
    our_segment,
    stacked,
    torch_optimizer,
    torch_rates,
    torch_run,
    torch_scheduler,
    torch_scheduler_memory,
)
from jaxdict.compat import torch as compat

PACKAGES = ("jax", "jaxlib", "optax", "torch", "numpy")
BOUND, ULP_BOUND = 1e-12, 2.0
STEPS, SIZE, KERNEL = 1_000, 16, (3, 4)
RECORDED = _timing.HERE.parent / "tests" / "recorded" / "torch_optimizers.json"


def numbers_of(case: Case, dtype: Any) -> dict[str, Any]:
    """The hyperparameters that are data, without the rate."""
    return jax.tree.map(lambda x: np.asarray(x, dtype), {k: v for k, v in case.numbers.items() if k != "lr"})


def rates_of(case: Case, steps: int) -> np.ndarray:
    """The rate at every step, by jaxdict's scheduler."""
    if case.spec is None:
        return np.full(steps, case.numbers["lr"])
    return np.asarray(our_scheduler(case.spec, case.numbers["lr"])(jnp.arange(steps)))


def data_of(case: Case, dtype: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters to start from and gradients."""
    rng = np.random.default_rng(case.seed)
    return rng.normal(size=SIZE).astype(dtype), (case.scale * rng.normal(size=(steps, SIZE))).astype(dtype)


def trajectories(name: str, cases: list[Case], dtype: Any, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """All runs of one optimizer by jaxdict and by torch, ``(cases, steps, n)`` each."""
    data = [data_of(case, dtype, steps) for case in cases]
    torchs = np.stack(
        [torch_run(name, case.options, case.spec, p, g) for case, (p, g) in zip(cases, data, strict=True)]
    )
    groups = collections.defaultdict(list)
    for i, case in enumerate(cases):
        groups[case.structure].append(i)
    ours = np.empty_like(torchs)
    for (flags, _), rows in groups.items():
        numbers = stacked([numbers_of(cases[i], dtype) for i in rows])
        rates = jnp.asarray(np.stack([rates_of(cases[i], steps) for i in rows]), dtype)
        start, gradients = (jnp.asarray(np.stack([data[i][k] for i in rows])) for k in (0, 1))
        ours[rows] = our_runs(name, flags)(numbers, rates, start, gradients)
    return ours, torchs


def differences(ours: np.ndarray, torchs: np.ndarray) -> np.ndarray:
    """The largest difference of every run, relative to its largest parameter at that step."""
    return (np.abs(ours - torchs).max(2) / np.abs(torchs).max(2)).max(1)


def drift(ours: np.ndarray, torchs: np.ndarray) -> np.ndarray:
    """Units in the last place that every run is off in the mean at its end, per 100 steps."""
    last = torchs[:, -1].astype(np.float64)
    unit = np.spacing(np.sqrt(np.mean(last**2, 1)).astype(np.float32)).astype(np.float64)
    off = np.abs(ours[:, -1].astype(np.float64) - last).mean(1)
    return off / unit / (torchs.shape[1] / 100)


def to_tree(vector: np.ndarray) -> dict[str, Any]:
    kernel, bias = np.split(vector, [KERNEL[0] * KERNEL[1]], axis=-1)
    shape = (*vector.shape[:-1], *KERNEL)
    return {"dense_1": {"kernel": jnp.asarray(kernel.reshape(shape)), "bias": jnp.asarray(bias)}}


def switched(name: str, case: Case, steps: int) -> float:
    """torch, then jaxdict, then torch again, beside torch all the way; the difference at the end."""
    start, gradients = data_of(case, np.float64, steps)
    first, second = (3 * steps) // 10, (7 * steps) // 10
    grads = to_tree(gradients)
    kernels = torch.tensor(np.array(grads["dense_1"]["kernel"])).transpose(1, 2)
    biases = torch.tensor(np.array(grads["dense_1"]["bias"]))

    def leave(model, begin, end, loaded=None):
        optimizer = torch_optimizer(name, case.options, list(model.parameters()))
        scheduler = None if case.spec is None else torch_scheduler(case.spec, optimizer)
        if loaded is not None:
            optimizer.load_state_dict(loaded)
        if scheduler is not None and begin:
            scheduler.load_state_dict(torch_scheduler_memory(case.spec, case.numbers["lr"], begin))
        for i in range(begin, end):
            model.weight.grad, model.bias.grad = kernels[i], biases[i]
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        return model.state_dict(), optimizer.state_dict()

    def module(values=None):
        model = torch.nn.Linear(*KERNEL, dtype=torch.float64)
        model.load_state_dict({n: torch.as_tensor(v) for n, v in (values or began).items()})
        return model

    params = to_tree(start)
    began = compat.export_params(params, ["weight", "bias"])
    reference, _ = leave(module(), 0, steps)
    weights, memory = leave(module(), 0, first)

    numbers = {k: v for k, v in case.numbers.items() if k != "lr"}
    rates = jnp.asarray(rates_of(case, steps + 1))
    optimizer = our_optimizer(name, dict(case.flags), numbers, lambda count: rates[count])
    params = compat.import_params(weights, params)
    state = compat.import_optimizer_state(memory, params, optimizer=optimizer, count=first)
    segment = jax.tree.map(lambda g: g[first:second], grads)
    run = our_segment(name, case.flags)
    params, state = run(jax.tree.map(jnp.asarray, numbers), rates, params, state, segment)
    memory = compat.export_optimizer_state(state, params, optimizer=optimizer)
    memory["state"] = {
        i: {k: torch.as_tensor(v) if isinstance(v, np.ndarray) else v for k, v in one.items()}
        for i, one in memory["state"].items()
    }
    weights, _ = leave(module(compat.export_params(params, ["weight", "bias"])), second, steps, memory)
    a, b = (np.concatenate([np.ravel(one[n].numpy()) for n in ("weight", "bias")]) for one in (weights, reference))
    return float(np.abs(a - b).max() / np.abs(b).max())


def schedulers(count: int, steps: int) -> dict[str, tuple[int, float]]:
    """name -> (configurations, largest difference of rate or momentum, relative to the largest)."""
    rng, worst = np.random.default_rng(7), collections.defaultdict(list)
    for _ in range(count):
        spec, lr = draw_spec(rng, steps), float(10 ** rng.uniform(-3, 0))
        rates, momenta = torch_rates(spec, lr, steps)
        ours = our_scheduler(spec, lr)
        off = np.abs(np.asarray(jax.jit(ours)(jnp.arange(steps))) - rates).max() / rates.max()
        if ours.momentum is not None:
            off = max(off, np.abs(np.asarray(jax.jit(ours.momentum)(jnp.arange(steps))) - momenta).max())
        worst[spec[0]].append(off)
    return {name: (len(values), float(max(values))) for name, values in sorted(worst.items())}


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    torch.set_num_threads(1)
    jax.config.update("jax_enable_x64", True)
    if options.record:
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text(json.dumps(record(), indent=None, separators=(",", ":")) + "\n")
        return
    count, steps = (12, 100) if options.quick else (options.configurations, STEPS)
    rows, data = [], {}
    for name in OPTIMIZERS:
        started = time.perf_counter()
        cases = draw(name, count, steps, np.float64)
        wide = differences(*trajectories(name, cases, np.float64, steps))
        moved = np.asarray([switched(name, case, steps) for case in cases[: max(4, count // 10)]])
        jax.config.update("jax_enable_x64", False)
        narrow = drift(*trajectories(name, draw(name, count, steps, np.float32), np.float32, steps))
        jax.config.update("jax_enable_x64", True)
        data[name] = {"float64": wide.tolist(), "switched": moved.tolist(), "float32_ulp_per_100": narrow.tolist()}
        held = wide.max() <= BOUND and moved.max() <= BOUND and narrow.mean() <= ULP_BOUND
        rows.append(
            [name, f"{len(cases)}", f"{wide.max():.1e}", f"{np.median(wide):.1e}", f"{moved.max():.1e}",
             f"{narrow.mean():.2f}", f"{narrow.max():.1f}", "yes" if held else "**no**"]
        )  # fmt: skip
        print(*rows[-1], f"{time.perf_counter() - started:.0f} s", flush=True)
    curves = schedulers(30 if options.quick else 320, steps)
    data["schedulers"] = {name: worst for name, (_, worst) in curves.items()}
    note = (
        f"`benchmarks/parity_torch.py`: {steps:,} steps of {SIZE} parameters, random gradients, the same for both.\n"
        f"float64: largest difference over all steps, relative to the run's largest parameter; {BOUND:g} is asked.\n"
        "Switched: torch, jaxdict, torch again, by `state_dict`, beside torch all the way. float32: units in the last\n"
        f"place per 100 steps, the mean over configurations; at most {ULP_BOUND:g} is asked."
    )
    text = "\n\n".join(
        [
            "# Parity with PyTorch",
            "\n".join(_timing.machine(PACKAGES, options.date)),
            note,
            _timing.table(
                ["", "configurations", "float64", "median", "switched", "float32 mean", "float32 worst", "holds"], rows
            ),
            f"Schedulers, {steps:,} steps, float64: rate and momentum relative to the largest.",
            _timing.table(
                ["", "configurations", "largest difference"],
                [[name, f"{n}", f"{worst:.1e}"] for name, (n, worst) in curves.items()],
            ),
        ]
    )
    _timing.publish("parity_torch", text, data, write=not options.quick)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configurations", type=int, default=200, help="for every optimizer")
    parser.add_argument("--record", action="store_true", help="write the runs that the tests compare with")


if __name__ == "__main__":
    main()
