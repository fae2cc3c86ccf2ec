"""Are the layers those of torch and Keras? Random settings of each beside its twin, on the same numbers, in float64.

    python benchmarks/parity_layers.py --date 2025-01-31     # all of it, some minutes
    python benchmarks/parity_layers.py --record              # rewrites tests/recorded/layers.npz

Outputs, gradients by every input and parameter, and running averages, in training. Keras runs on its torch backend, so
that no twin shares a convolution with jaxdict. Differences are relative to the largest number of the array, or to 1.
"""

import importlib.metadata
import itertools
import json
import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

import _timing
from _layer_cases import COUNTS, Case, draw, twin
from jaxdict import layers

PACKAGES = ("jax", "jaxlib", "torch", "keras", "numpy")
BOUND = 1e-10
RECORDED = _timing.HERE.parent / "tests" / "recorded" / "layers.npz"
Arrays = dict[str, np.ndarray]
# How many settings of each the suite holds.
KEPT = {
    "torch conv": 3, "keras conv": 2, "torch conv_transpose": 2, "keras conv_transpose": 1, "keras depthwise_conv": 1,
    "torch max_pool": 1, "keras max_pool": 1, "torch average_pool": 1, "keras average_pool": 1, "torch embedding": 1,
    "torch prelu": 1, "torch swish": 1, "torch layer_norm": 1, "torch rms_norm": 1, "torch group_norm": 1,
    "torch batch_norm": 1, "keras concatenate": 1, "torch dense": 1, "torch global_average_pool": 1,
}  # fmt: skip


def numbers(case: Case, seed: int) -> tuple[list[np.ndarray], Arrays, Arrays]:
    """Inputs, parameters and state of a setting."""
    rng = np.random.default_rng(seed)
    shapes = case.shape if isinstance(case.shape[0], tuple) else (case.shape,)
    inputs = [rng.normal(size=shape) for shape in shapes]
    if case.layer == "embedding":
        inputs = [rng.integers(0, case.args[0], case.shape)]
    layer, examples = getattr(layers, case.layer)(*case.args, **case.options), tuple(s[1:] for s in shapes)
    shape = examples if len(shapes) > 1 else examples[0]
    params, state = jax.eval_shape(lambda key: layer.init(key, shape)[:2], jax.random.key(0))
    made = ({name: rng.uniform(0.2, 1.2, a.shape) for name, a in sorted(tree.items())} for tree in (params, state))
    return inputs, *made


def weighing(shape: tuple[int, ...]) -> np.ndarray:
    """Factors that make one number of a result, none like another, so that no part of a gradient cancels."""
    return np.cos(np.arange(np.prod(shape, dtype=int)) / 3).reshape(shape)


def by_twin(case: Case, inputs: list[np.ndarray], params: Arrays, state: Arrays) -> Arrays:
    """The framework's output, gradients and averages."""
    x = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in inputs]
    p = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    y, kept = twin(case, x, p, {name: torch.tensor(a) for name, a in state.items()})
    by = {f"input {i}": a for i, a in enumerate(x) if a.requires_grad} | p
    slopes = torch.autograd.grad((y * torch.tensor(weighing(tuple(y.shape)))).sum(), list(by.values()))
    found = {"output": y.detach()} | {f"gradient {n}": g for n, g in zip(by, slopes, strict=True)}
    return {n: np.asarray(a.detach()) for n, a in (found | {f"state {n}": a for n, a in kept.items()}).items()}


def by_jaxdict(case: Case, inputs: list[np.ndarray], params: Arrays, state: Arrays) -> Arrays:
    """The same of jaxdict, by one program."""
    layer = getattr(layers, case.layer)(*case.args, **case.options)
    integers = inputs[0].dtype != np.float64

    def total(x, params):
        given = inputs if integers else x
        y, kept = layer.apply(params, state, given[0] if len(given) == 1 else given, train=True)
        return jnp.sum(y * weighing(y.shape)), (y, kept)

    run = jax.jit(jax.grad(total, 1 if integers else (0, 1), has_aux=True))
    slopes, (y, kept) = run([] if integers else inputs, params)
    by_x, by_p = ([], slopes) if integers else slopes
    found = {"output": y} | {f"gradient input {i}": g for i, g in enumerate(by_x)}
    found |= {f"gradient {n}": g for n, g in by_p.items()} | {f"state {n}": a for n, a in kept.items()}
    return {n: np.asarray(a) for n, a in found.items()}


def apart(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of values and of gradients."""
    assert ours.keys() == theirs.keys(), (ours.keys(), theirs.keys())
    worst = {"values": 0.0, "gradients": 0.0}
    for name, a in ours.items():
        b = theirs[name]
        assert a.shape == b.shape, (name, a.shape, b.shape)
        scale = max(1.0, float(np.abs(b).max(initial=0)))
        what = "gradients" if name.startswith("gradient") else "values"
        worst[what] = max(worst[what], float(np.abs(a - b).max(initial=0)) / scale)
    return worst


def record() -> None:
    """Write settings and their twins' arrays for the suite, small ones."""
    kept: dict[str, Any] = {}
    cases: list[dict[str, Any]] = []
    for kind, count in KEPT.items():
        small = (case for case in draw(kind, 40, seed=1) if np.prod(case.shape) < 500)
        for case in itertools.islice(small, count):
            inputs, params, state = numbers(case, len(cases))
            arrays = {f"x {i}": a for i, a in enumerate(inputs)}
            arrays |= {f"param {n}": a for n, a in params.items()} | {f"from {n}": a for n, a in state.items()}
            arrays |= by_twin(case, inputs, params, state)
            kept |= {f"{len(cases)} {name}": array for name, array in arrays.items()}
            cases.append(case._asdict() | {"names": list(arrays)})
    about = {
        "made by": "benchmarks/parity_layers.py --record, float64, Keras on its torch backend",
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
        "cases": cases,
    }
    np.savez_compressed(RECORDED, about=np.array(json.dumps(about)), **kept)


def main() -> None:
    options = _timing.arguments(__doc__, lambda p: p.add_argument("--record", action="store_true"))
    warnings.filterwarnings("ignore", message="Using padding='same'")
    torch.set_num_threads(1)
    jax.config.update("jax_enable_x64", True)
    if options.record:
        record()
        return
    rows, data = [], {}
    for kind, count in COUNTS.items():
        found = []
        for seed, case in enumerate(draw(kind, 2 if options.quick else count)):
            arrays = numbers(case, seed)
            try:
                found.append(apart(by_jaxdict(case, *arrays), by_twin(case, *arrays)))
            except Exception as error:
                raise AssertionError(f"{kind}: {case}") from error
        framework, layer = kind.split()
        values, gradients = (max(f[what] for f in found) for what in ("values", "gradients"))
        data[kind] = found
        held = "yes" if max(values, gradients) <= BOUND else "**no**"
        rows.append([layer, framework, f"{len(found)}", f"{values:.1e}", f"{gradients:.1e}", held])
        print(*rows[-1], flush=True)
    total = sum(map(len, data.values()))
    note = (
        f"`benchmarks/parity_layers.py`: {total} random settings (ranks, strides, padding, dilation, groups, axes, ε)\n"
        "in float64, Keras on its torch backend. The largest difference of outputs and running averages, and of\n"
        "gradients by inputs and parameters, relative to the largest number of the array or to 1;"
        f" {BOUND:g} is asked."
    )
    head = ["layer", "beside", "settings", "values", "gradients", "holds"]
    text = "\n\n".join(
        ["# Parity of the layers", "\n".join(_timing.machine(PACKAGES, options.date)), note, _timing.table(head, rows)]
    )
    _timing.publish("parity_layers", text, data, write=not options.quick)


if __name__ == "__main__":
    main()
