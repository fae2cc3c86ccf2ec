"""Whether gradients vanish: ten layers at three widths, six ways to begin, before training and after some of it.

    python benchmarks/vanishing_gradients.py --date 2025-01-31

Every number is one of `jaxdict.inspection.statistics` over a batch of digits, a geometric mean over seeds.
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import _timing
import jaxdict as jd

DEPTH, WIDTHS, BATCH, CLASSES = 10, (10, 100, 1000), 256, 10
PICTURE = Path("docs", "images", "vanishing-gradients.png")
PACKAGES = ("jax", "jaxlib", "optax", "numpy")
NORMAL = jd.initializers.random("normal")  # N(0, 1), whatever the width
WAYS: dict[str, dict[str, Any]] = {
    "sigmoid, N(0, 1)": {"activation": "sigmoid", "initializer": NORMAL},
    "sigmoid, Glorot": {"activation": "sigmoid", "initializer": "xavier_normal"},
    "tanh, Glorot": {"activation": "tanh", "initializer": "xavier_normal"},
    "ReLU, He": {"activation": "relu", "initializer": "he_normal"},
    "SELU, LeCun": {"activation": "selu", "initializer": "lecun_normal"},
    "sigmoid, N(0, 1), batch norm": {"activation": "sigmoid", "initializer": NORMAL, "batch_norm": "before"},
}
LOSS = "sparse_softmax_cross_entropy"
RATES = (1e-3, 1e-2, 1e-1)


@functools.cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """The digits with mean 0 and standard deviation 1, pixels that never change at 0."""
    (digits,) = jd.data.standardize(jd.data.load("digits"))
    return np.asarray(digits.inputs, np.float32), np.asarray(digits.targets)


def network(width: int, way: dict[str, Any]) -> jd.models.Model:
    """64 inputs, ``DEPTH`` hidden layers of one width, 10 logits."""
    return jd.models.mlp([64, *[width] * DEPTH, CLASSES], **way)


def looked_at(model: jd.models.Model, seed: int, params: Any = None, state: Any = None) -> jd.inspection.Statistics:
    """Statistics in training, over a batch that goes by the seed; of fresh parameters where none are given."""
    inputs, labels = data()
    rows = np.random.default_rng(seed).permutation(len(inputs))[:BATCH]
    if params is None:
        params, state = jax.jit(lambda key: model.init(key, (64,))[:2])(jax.random.key(seed))
    return jd.inspection.statistics(
        model, params, state, inputs[rows], loss=LOSS, targets=labels[rows], train=True, key=seed
    )


def layers(found: jd.inspection.Statistics, kind: Callable[[str], bool]) -> list[jd.inspection.LayerStatistics]:
    return [layer for layer in found if kind(layer.kind)]


def hidden_factor(found: jd.inspection.Statistics) -> float:
    """By how much a hidden layer multiplies ∂L/∂z on its way back: from the last hidden one to the first."""
    errors = [layer.error_norm for layer in layers(found, lambda kind: kind == "dense")][:-1]
    return (errors[0] / errors[-1]) ** (1 / (len(errors) - 1))


def measured(width: int, way: dict[str, Any], seeds: int) -> dict[str, Any]:
    """The numbers of one row of the table."""
    model = network(width, way)
    each = [looked_at(model, seed) for seed in range(seeds)]
    activations = [layers(found, lambda kind: kind == way["activation"]) for found in each]
    dense = [layers(found, lambda kind: kind == "dense") for found in each]
    return {
        "factor": geometric([hidden_factor(found) for found in each]),
        "range": [min(map(hidden_factor, each)), max(map(hidden_factor, each))],
        "errors": [geometric([d[k].error_norm / d[-2].error_norm for d in dense]) for k in range(DEPTH)],
        "gradients": geometric([d[0].gradient_norm / d[-2].gradient_norm for d in dense]),
        "spread": [float(np.mean([d[k].std for d in dense])) for k in (0, DEPTH - 1)],
        "saturated": share([[layer.saturated for layer in a] for a in activations]),
        "dead": share([[layer.dead for layer in a] for a in activations]),
        "flags": sorted({layer.flag for found in each for layer in found} - {""}),
    }


def share(values: list[list[float]]) -> float | None:
    """The mean; None where the activation cannot be so."""
    return None if np.isnan(values).any() else float(np.mean(values))


def geometric(values: list[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def learned(width: int, way: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Training accuracy after some epochs of momentum, the best of three rates."""
    runs = jd.fit_lanes(
        network(width, way), LOSS, lambda learning_rate: jd.optimizers.momentum(learning_rate), data(),
        keys=[0] * len(RATES), hyperparameters={"learning_rate": np.array(RATES)}, epochs=epochs, batch_size=32,
        metrics="accuracy",
    )  # fmt: skip
    reached = [float(run.history["accuracy"][-1]) if run.result != "diverged" else 0.0 for run in runs]
    return {"accuracy": max(reached), "rate": RATES[int(np.argmax(reached))]}


def draw(rows: dict[tuple[int, str], dict[str, Any]], path: Path) -> None:
    drawn = jd.plots.figure(11, 4)
    axes = drawn.subplots(1, len(WIDTHS), sharey=True)
    for axis, width in zip(axes, WIDTHS, strict=True):
        for name in WAYS:
            axis.plot(range(1, DEPTH + 1), rows[width, name]["errors"], marker="o", markersize=3, label=name)
        axis.axhline(1, color="#8a8f98", linewidth=0.8)
        axis.set_yscale("log")
        axis.set_title(f"{width} units a layer", loc="left", fontsize=11)
        axis.set_xlabel("hidden layer")
        axis.grid(color="#e6e8eb", linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("‖∂L/∂z‖ over that of the last hidden layer")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    jd.plots.save(drawn, path)


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def page(rows: dict[tuple[int, str], dict[str, Any]], options: argparse.Namespace) -> str:
    head = ["width", "network", "factor a layer", "least – most", "first ÷ last", "spread of z, first", "last",
            "saturated", "dead", f"accuracy after {options.epochs} epochs", "rate"]  # fmt: skip
    lines = []
    for (width, name), row in rows.items():
        accuracy = row.get("accuracy")
        lines.append([
            str(width), name, f"{row['factor']:.2f}", f"{row['range'][0]:.2f} – {row['range'][1]:.2f}",
            f"{row['errors'][0]:.1e}", f"{row['spread'][0]:.2f}", f"{row['spread'][1]:.2f}", percent(row["saturated"]),
            percent(row["dead"]), percent(accuracy), f"{row['rate']:g}" if "rate" in row else "",
        ])  # fmt: skip
    shown = ", ".join(f"{rate:g}" for rate in RATES)
    return "\n".join([
        "# Whether gradients vanish", "", *_timing.machine(PACKAGES, options.date), "",
        f"`benchmarks/vanishing_gradients.py`: digits, standardized; 64 inputs, {DEPTH} hidden layers, 10 logits.",
        f"Batches of {BATCH}, seeds: {options.seeds}, before training. The factor is what a hidden layer multiplies",
        "the norm of ∂L/∂z by on its way back, a geometric mean from the last hidden layer to the first; first ÷ last",
        "is the product. The spread is the standard deviation of z. Saturated are sigmoids within 0.025 of 0 or 1 and",
        "tanhs beyond ±0.95. Accuracy is on the training set, momentum 0.9, batches of 32, one seed, the best of the",
        f"rates {shown}; not at 1000 units.", "",
        f"![the norm by layer](../../{PICTURE.as_posix()})", "",
        _timing.table(head, lines), "", *read(rows),
    ])  # fmt: skip


def read(rows: dict[tuple[int, str], dict[str, Any]]) -> list[str]:
    """The factors by width, way by way: what the sources' story comes to."""
    by_way = {name: ", ".join(f"{rows[width, name]['factor']:.2f}" for width in WIDTHS) for name in WAYS}
    widths = ", ".join(map(str, WIDTHS))
    return [f"Factors at {widths} units:", "", *(f"- {name}: {factors}" for name, factors in by_way.items())]


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    if options.quick:
        options.seeds, options.epochs = 1, 0
    rows: dict[tuple[int, str], dict[str, Any]] = {}
    for width in WIDTHS:
        for name, way in WAYS.items():
            rows[width, name] = measured(width, way, options.seeds)
            if options.epochs and width <= 100:
                rows[width, name] |= learned(width, way, options.epochs)
            print(width, name, rows[width, name], flush=True)
    if not options.quick:
        draw(rows, _timing.HERE.parent / PICTURE)
    data = {"rows": [{"width": width, "network": name, **row} for (width, name), row in rows.items()]}
    _timing.publish("vanishing_gradients", page(rows, options), data, write=not options.quick)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)


if __name__ == "__main__":
    main()
