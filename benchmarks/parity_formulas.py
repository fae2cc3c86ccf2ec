"""Parity of the pure functions of ``jaxdict.compat`` with PyTorch and Keras, run live.

Every call of ``_parity_cases`` is made in both, over several draws and shapes: values and gradients are compared, the
largest difference of each function is published, over the largest number of the framework's array. Torch runs in
float64; Keras, which takes means in float32 on the JAX backend whatever the type, in float32. Initializers are compared
by the quantiles of their draws, layers by training two batches. ``--record`` writes what the frameworks give for the
first draw to ``tests/recorded``, which the suite compares with.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import importlib.metadata
import json
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import _parity_cases as cases
import _timing
from _parity_cases import Case

RECORDED = Path(__file__).resolve().parents[1] / "tests" / "recorded"
QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
DRAWS = 20  # of the frameworks' initializers, whose quantiles are averaged
SHAPES = ((4, 3), (9, 5))

TORCH_NORMS: tuple[tuple[dict[str, Any], tuple[int, ...]], ...] = (
    ({}, (5, 3)), ({"momentum": 0.3, "eps": 0.01}, (5, 3)), ({"momentum": None}, (4, 3, 6)),
    ({"affine": False}, (4, 3, 6)), ({"track_running_stats": False}, (5, 3)),
)  # fmt: skip
KERAS_NORMS: tuple[tuple[dict[str, Any], tuple[int, ...]], ...] = (
    ({}, (5, 3)), ({"momentum": 0.8, "epsilon": 0.05}, (4, 6, 3)), ({"axis": 1, "center": False}, (4, 3, 6)),
)  # fmt: skip


def weighing(shape: tuple[int, ...]) -> np.ndarray:
    """Factors that make one number of a result, none like another, so that no part of a gradient cancels."""
    return 1 + np.arange(np.prod(shape)).reshape(shape) / 10


# ----------------------------------------------------------------------------------------------------- frameworks


def by_torch(case: Case) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    import torch

    tensors = {name: torch.tensor(array.copy()) for name, array in case.arrays.items()}
    for name in case.by:
        tensors[name].requires_grad_()
    value = getattr(torch.nn.functional, case.call)(**tensors, **case.options)
    gradients = torch.autograd.grad(
        (value * torch.tensor(weighing(value.shape))).sum(), [tensors[name] for name in case.by]
    )
    return value.detach().numpy(), {name: g.numpy() for name, g in zip(case.by, gradients, strict=True)}


def by_keras(case: Case) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    import keras

    room = keras.activations if hasattr(keras.activations, case.call) else keras.losses
    return _in_jax(room, case, jnp.float32)


def by_jaxdict(case: Case, framework: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    from jaxdict.compat import keras, torch

    if framework == "torch":
        with jax.enable_x64(True):
            return _in_jax(torch.nn.functional, case, jnp.float64)
    room = keras.activations if hasattr(keras.activations, case.call) else keras.losses
    return _in_jax(room, case, jnp.float32)


def _in_jax(room: Any, case: Case, dtype: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    arrays = {n: jnp.asarray(a) if a.dtype.kind == "i" else jnp.asarray(a, dtype) for n, a in case.arrays.items()}
    made = case.call[0].isupper()

    def call(**floats: Any) -> jax.Array:
        function = getattr(room, case.call)
        given = {**arrays, **floats}
        return function(**case.options)(**given) if made else function(**given, **case.options)

    value = call()
    if not case.by:
        return np.asarray(value), {}

    def total(floats: dict[str, jax.Array]) -> jax.Array:
        return jnp.sum(call(**floats) * jnp.asarray(weighing(value.shape), value.dtype))

    gradients = jax.grad(total)({name: arrays[name] for name in case.by})
    return np.asarray(value), {name: np.asarray(g) for name, g in gradients.items()}


# --------------------------------------------------------------------------------------- initializers and layers


def quantiles(arrays: list[np.ndarray]) -> list[float]:
    """The quantiles of each array, averaged, but for the ends, which are the least and the largest of all."""
    found = np.array([np.quantile(np.asarray(a, np.float64), QUANTILES) for a in arrays])
    return [float(found[:, 0].min()), *found[:, 1:-1].mean(0).tolist(), float(found[:, -1].max())]


def torch_draws(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> list[np.ndarray]:
    import torch

    torch.manual_seed(1)
    return [getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy() for _ in range(DRAWS)]


def keras_draws(name: str, options: dict[str, Any], shape: tuple[int, ...]) -> list[np.ndarray]:
    import keras

    make = getattr(keras.initializers, name)
    return [np.asarray(make(seed=seed, **options)(shape)) for seed in range(1, DRAWS + 1)]


def jaxdict_draws(
    framework: str, name: str, options: dict[str, Any], shape: tuple[int, ...], draws: int = DRAWS
) -> list[np.ndarray]:
    from jaxdict.compat import keras, torch

    room = torch.nn.init if framework == "torch" else keras.initializers
    return [np.asarray(getattr(room, name)(**options)(seed, shape)) for seed in range(draws)]


def torch_norm(options: dict[str, Any], batches: list[np.ndarray]) -> list[np.ndarray]:
    """Outputs of two batches in training, running averages where there are some, output of the first at test time."""
    import torch

    layer = torch.nn.BatchNorm1d(3, **options, dtype=torch.float64)
    outputs = [layer(torch.tensor(b)).detach().numpy() for b in batches]
    averages = [layer.running_mean, layer.running_var] if layer.track_running_stats else []
    tested = layer.eval()(torch.tensor(batches[0])).detach().numpy()
    return [*outputs, *(a.numpy() for a in averages if a is not None), tested]


def keras_norm(options: dict[str, Any], batches: list[np.ndarray]) -> list[np.ndarray]:
    import keras

    layer = keras.layers.BatchNormalization(**options)
    outputs = [np.asarray(layer(b.astype("float32"), training=True)) for b in batches]
    averages = [np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)]
    return [*outputs, *averages, np.asarray(layer(batches[0].astype("float32"), training=False))]


def jaxdict_norm(framework: str, options: dict[str, Any], batches: list[np.ndarray]) -> list[np.ndarray]:
    from jaxdict.compat import torch
    from jaxdict.compat.keras import layers

    layer = torch.nn.BatchNorm1d(3, **options) if framework == "torch" else layers.BatchNormalization(**options)
    params, state, _ = layer.init(jax.random.key(0), batches[0].shape[1:])
    given = [jnp.asarray(b) for b in batches]
    outputs = []
    for batch in given:
        output, state = layer.apply(params, state, batch, train=True)
        outputs.append(output)
    averages = [state["mean"], state["variance"]] if state else []
    return [np.asarray(a) for a in (*outputs, *averages, layer.apply(params, state, given[0])[0])]


def norm_batches(shape: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [np.round(rng.normal(size=shape) * 3 + 2, 3) for _ in range(2)]


# ------------------------------------------------------------------------------------------------ record, compare


def numbers(array: Any) -> Any:
    """Lists for a file; floats in the shortest form that reads back the same in their type."""
    array = np.asarray(array)
    return np.vectorize(lambda x: float(str(x)), otypes=[object])(array).tolist()


def record(framework: str) -> None:
    torch = framework == "torch"
    calls = []
    for case in cases.torch_cases(0) if torch else cases.keras_cases(0):
        value, gradients = by_torch(case) if torch else by_keras(case)
        calls.append(
            {
                "call": case.call,
                "arrays": {name: array.tolist() for name, array in case.arrays.items()},
                "options": case.options,
                "value": numbers(value),
                "gradients": {name: numbers(g) for name, g in gradients.items()},
            }
        )
    draws = [
        {"name": name, "options": options, "shape": shape, "quantiles": quantiles(draw(name, options, shape))}
        for draw, (name, options, shape) in (
            ((torch_draws, row) for row in cases.TORCH_INITIALIZERS) if torch
            else ((keras_draws, row) for row in cases.KERAS_INITIALIZERS)
        )
    ]  # fmt: skip
    norms = [
        {
            "options": options,
            "batches": [b.tolist() for b in norm_batches(shape)],
            "arrays": [numbers(a) for a in (torch_norm if torch else keras_norm)(options, norm_batches(shape))],
        }
        for options, shape in (TORCH_NORMS if torch else KERAS_NORMS)
    ]
    versions = {p: importlib.metadata.version(p) for p in ("torch", "keras", "jax", "numpy")}
    page = {
        "made by": f"benchmarks/parity_formulas.py --record, seed 0, {'float64' if torch else 'float32, JAX backend'}",
        "versions": versions,
        "quantiles": QUANTILES,
        "calls": calls,
        "initializers": draws,
        "batch norms": norms,
    }
    lines = {key: value for key, value in page.items() if not isinstance(value, list)}
    text = json.dumps(lines, indent=1)[:-2]
    for key in ("calls", "initializers", "batch norms"):
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in page[key])
        text += f',\n "{key}": [\n{rows}\n ]'
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"formulas_{framework}.json").write_text(text + "\n}\n")


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference over the largest of their numbers, or over 1 where those are smaller."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    both = np.isnan(ours) & np.isnan(theirs)
    gap = np.abs(np.where(both | (ours == theirs), 0, ours - theirs))
    scale = max(1.0, float(np.max(np.abs(theirs), initial=0, where=np.isfinite(theirs))))
    return float(np.max(gap, initial=0)) / scale


def compare(framework: str, quick: bool) -> dict[str, list[float]]:
    """For each function the number of calls, the largest difference of values and that of gradients."""
    found: dict[str, list[float]] = {}
    for seed, (n, c) in enumerate(SHAPES[:1] if quick else SHAPES):
        for case in (cases.torch_cases if framework == "torch" else cases.keras_cases)(seed + 1, n, c):
            theirs = by_torch(case) if framework == "torch" else by_keras(case)
            ours = by_jaxdict(case, framework)
            row = found.setdefault(case.call, [0, 0.0, 0.0])
            slopes = [difference(ours[1][name], theirs[1][name]) for name in case.by]
            row[:] = [row[0] + 1, max(row[1], difference(ours[0], theirs[0])), max([row[2], *slopes])]
    return found


def compare_draws(framework: str) -> list[tuple[str, float]]:
    """For each initializer the largest difference of the inner quantiles, over the standard deviation."""
    draw = torch_draws if framework == "torch" else keras_draws
    rows = []
    for name, options, shape in cases.TORCH_INITIALIZERS if framework == "torch" else cases.KERAS_INITIALIZERS:
        theirs, ours = draw(name, options, shape), jaxdict_draws(framework, name, options, shape)
        gap = np.max(np.abs(np.subtract(quantiles(ours), quantiles(theirs))[1:-1])) / np.std(theirs[0])
        rows.append((f"{name}({', '.join(f'{k}={v}' for k, v in options.items())}) {shape}", float(gap)))
    return rows


def compare_norms(framework: str) -> float:
    """The largest difference of two batches' training and one test."""
    run = torch_norm if framework == "torch" else keras_norm
    found = 0.0
    for options, shape in TORCH_NORMS if framework == "torch" else KERAS_NORMS:
        batches = norm_batches(shape)
        pairs = zip(jaxdict_norm(framework, options, batches), run(options, batches), strict=True)
        found = max([found, *(difference(a, b) for a, b in pairs)])
    return found


def main() -> None:
    given = _timing.arguments(
        __doc__, lambda p: p.add_argument("--record", action="store_true", help="write the files")
    )
    warnings.filterwarnings("ignore", category=UserWarning)  # torch's about implicit dimensions, old flags, means
    if given.record:
        for framework in ("torch", "keras"):
            record(framework)
        return
    pages, data = ["# Parity of the formulas", ""], {}
    pages += _timing.machine(["torch", "keras", "jax", "numpy"], given.date)
    for framework, about in (("torch", "float64"), ("keras", "float32, JAX backend")):
        found = compare(framework, given.quick)
        draws, norms = ([], 0.0) if given.quick else (compare_draws(framework), compare_norms(framework))
        data[framework] = {"functions": found, "initializers": draws, "batch norm": norms}
        rows = [[name, f"{int(n)}", f"{v:.1e}", f"{g:.1e}"] for name, (n, v, g) in sorted(found.items())]
        pages += ["", f"## {framework}, {about}", ""]
        pages += [_timing.table(["function", "calls", "largest difference of values", "of gradients"], rows)]
        pages += ["", f"Batch norm, two batches and a test, float32: {norms:.1e}.", ""]
        pages += [_timing.table(["initializer", "quantiles apart, in deviations"], [[n, f"{g:.4f}"] for n, g in draws])]
    _timing.publish("parity_formulas", "\n".join(pages), data, write=not given.quick)


if __name__ == "__main__":
    main()
