"""Quality: jaxdict beside scikit-learn's MLPs, tuned alike, and the digits configuration over five seeds.

    python benchmarks/quality.py --date 2025-01-31

Each split holds out a fifth for the test. Hidden sizes, L2 strength and number of epochs are chosen by the score on a
fifth of the rest, held out too; the choice is then trained on all of the rest. Splits and grid are the same for both.
"""

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

import _timing
import jaxdict as jd
from jaxdict.config import load, read_result, run

HIDDEN = ((32,), (64, 32))
L2 = (1e-4, 0.1, 3.0)  # scikit-learn's alpha: alpha/2 times the sum of squared weights, divided by the batch
EPOCHS = (10, 25, 50, 100, 200)
BATCH = 32
METRIC = {"diabetes": "r2", "breast_cancer": "accuracy"}
PACKAGES = ("jax", "jaxlib", "optax", "scikit-learn", "numpy")

# (train, other, hidden, l2, epochs to look at, seed) -> score on other after each of those epochs
Scores = Callable[[jd.data.Dataset, jd.data.Dataset, tuple[int, ...], float, tuple[int, ...], int], list[float]]


def ours(train, other, hidden, l2, epochs, seed) -> list[float]:
    """jaxdict's side: one run, the scores read off its history."""
    regression = train.task == "regression"
    metric = METRIC[train.name]
    run = jd.fit(
        jd.models.mlp([train.inputs.shape[1], *hidden, 1], activation="relu"),
        "mean_squared_error" if regression else "sigmoid_cross_entropy",
        jd.optimizers.adam(1e-3),
        train,
        key=seed,
        epochs=epochs[-1],
        batch_size=BATCH,
        validation=(other.inputs, other.targets),
        metrics=metric,
        penalty=weight_decay,
        # scikit-learn halves the squared error too
        hyperparameters={"strength": l2 / BATCH / (1 if regression else 2)},
    )
    return [float(run.history[f"validation_{metric}"][epoch - 1]) for epoch in epochs]


def weight_decay(params: Any, strength: jax.Array) -> jax.Array:
    return jd.penalties.l2(params, strength, mask="*kernel")


def sklearn(train, other, hidden, l2, epochs, seed) -> list[float]:
    """scikit-learn's side: an epoch at a time."""
    regression = train.task == "regression"
    options: dict[str, Any] = {"hidden_layer_sizes": hidden, "alpha": l2, "batch_size": BATCH, "random_state": seed}
    model = MLPRegressor(**options) if regression else MLPClassifier(**options)
    first: Mapping[str, Any] = {} if regression else {"classes": np.unique(train.targets)}
    scores = []
    for epoch in range(1, epochs[-1] + 1):
        model.partial_fit(train.inputs, train.targets, **(first if epoch == 1 else {}))
        if epoch in epochs:
            scores.append(float(model.score(other.inputs, other.targets)))
    return scores


def tested(name: str, scores: Scores, split: int) -> float:
    """The test score of the best of the grid, on one split."""
    rest, test = jd.data.split(jd.data.load(name), 0.2, key=split)
    train, validation = scaled(*jd.data.split(rest, 0.2, key=1000 + split))
    found = {
        (hidden, l2, epoch): score
        for hidden, l2 in itertools.product(HIDDEN, L2)
        for epoch, score in zip(EPOCHS, scores(train, validation, hidden, l2, EPOCHS, split), strict=True)
    }
    hidden, l2, epoch = max(found, key=found.__getitem__)
    return scores(*scaled(rest, test), hidden, l2, (epoch,), split)[0]


def scaled(train: jd.data.Dataset, other: jd.data.Dataset) -> tuple[jd.data.Dataset, jd.data.Dataset]:
    """Inputs, and the targets of a regression, with mean 0 and standard deviation 1 over ``train``."""
    train, other = jd.data.standardize(train, other)
    if train.task != "regression":
        return train, other
    scale = jd.data.fit_standardizer(train.targets).apply
    train, other = (dataclasses.replace(part, targets=scale(part.targets)) for part in (train, other))
    return train, other


def digits(seed: int) -> float:
    """Test accuracy of the digits configuration, split and trained with ``seed``."""
    config = load(
        _timing.HERE.parent / "configs" / "digits_mlp.toml",
        [f"data.seed={seed}", f"training.seed={seed}", "output.tensorboard=false", "output.curves=false"],
    )
    with tempfile.TemporaryDirectory() as folder:
        run(config, Path(folder, "run"))
        return read_result(Path(folder, "run"))["test"]["accuracy"]


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    splits, seeds = (1, 1) if options.quick else (options.splits, 5)
    sides: dict[str, Scores] = {"jaxdict": ours, "scikit-learn": sklearn}
    rows, data = [], {}
    for name, metric in METRIC.items():
        for side, scores in sides.items():
            started = time.perf_counter()
            values = [tested(name, scores, split) for split in range(splits)]
            seconds = time.perf_counter() - started
            deviation = statistics.stdev(values) if splits > 1 else 0.0
            mean = statistics.fmean(values)
            rows.append([f"{name}, {metric}", side, f"{mean:.4f}", f"{deviation:.4f}", f"{seconds:.0f}"])
            data[f"{name} {side}"] = values
        pairs = zip(data[f"{name} jaxdict"], data[f"{name} scikit-learn"], strict=True)
        differences = [a - b for a, b in pairs]
        error = statistics.stdev(differences) / splits**0.5 if splits > 1 else 0.0
        rows.append([f"{name}, {metric}", "difference", f"{statistics.fmean(differences):+.4f}", f"± {error:.4f}", ""])
    accuracies = data["digits"] = [digits(seed) for seed in range(seeds)]
    grid = len(HIDDEN) * len(L2) * len(EPOCHS)
    text = "\n\n".join(
        [
            "# Quality beside scikit-learn",
            "\n".join(_timing.machine(PACKAGES, options.date)),
            f"`benchmarks/quality.py`: test scores, splits: {splits}, a fifth held out. Hidden sizes,\n"
            f"L2 strength and epochs ({grid} settings) are chosen by inner validation, the same for both.\n"
            "Difference: the mean over splits ± its standard error.",
            _timing.table(["", "", "mean", "deviation", "seconds"], rows),
            f"Digits, `configs/digits_mlp.toml`, a fifth held out, seeds: {seeds}; test accuracy "
            f"{statistics.fmean(accuracies):.4f} in the mean, {min(accuracies):.4f} at least.",
        ]
    )
    _timing.publish("quality", text, data, write=not options.quick)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--splits", type=int, default=10)


if __name__ == "__main__":
    main()
