"""Pretraining: classifiers of digits from few labels, started by an autoencoder of all images or from scratch.

    python benchmarks/pretraining.py --date 2025-01-31

Every seed has an autoencoder, labels and a head of its own; the ways of one seed share its labels.
The number of steps is the same for every number of labels, and nothing is chosen by the test images.
"""

import argparse
import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import _timing
import jaxdict as jd
from jaxdict.plots import _canvas

LABELS = (20, 50, 100, 200, 500)
# The best on a fifth of the training images, beside 64 (noise 0.25 and 0.5) and 16 features, and 32 behind 256 units.
WIDTHS, NOISE, EPOCHS = [64, 128, 128], 0.5, 300
STEPS, BATCH = 1500, 20
LOSS = "sparse_softmax_cross_entropy"
PACKAGES = ("jax", "jaxlib", "optax", "scipy", "numpy")
WAYS = ("from scratch", "pretrained", "pretrained and frozen")
COLOURS = dict(zip(WAYS, (_canvas.GREY, _canvas.BLUE, _canvas.ORANGE), strict=True))

ENCODER = jd.models.mlp(WIDTHS, activation="relu", output="relu", name="encoder")
CLASSIFIER = jd.models.serial(ENCODER, jd.layers.dense(10, name="head"))


def encoders(images: np.ndarray, seeds: int, epochs: int) -> Any:
    """The encoders of as many denoising autoencoders, stacked on a first axis."""
    model = jd.models.autoencoder(WIDTHS, activation="relu", noise=NOISE)
    runs = jd.fit_lanes(
        model, "mean_squared_error", jd.optimizers.adam(1e-3), (images, images), keys=range(seeds), epochs=epochs
    )
    print(f"autoencoders: squared error {np.mean(runs.table()['loss']):.4f}, {runs.seconds:.0f} s")
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(run.params["encoder"] for run in runs))


def accuracies(way: str, pretrained: Any, train: Any, test: Any, chosen: list[np.ndarray]) -> list[float]:
    """Test accuracy of every seed."""
    optimizer, model = jd.optimizers.adam(1e-3), CLASSIFIER
    hyperparameters = None
    if way != "from scratch":

        def started(member: Any) -> jd.models.Model:
            """The classifier whose encoder starts as that of the autoencoder of this number."""

            def init(key, input_shape):
                params, state, shape = CLASSIFIER.init(key, input_shape)
                source = {"encoder": jax.tree.map(lambda leaf: leaf[member], pretrained)}
                return jd.transfer.reuse(params, source, "encoder/*"), state, shape

            return dataclasses.replace(CLASSIFIER, init=init)

        model, hyperparameters = started, {"member": np.arange(len(chosen))}
    if way == "pretrained and frozen":
        shapes = jax.eval_shape(lambda: CLASSIFIER.init(jax.random.key(0), (64,))[0])
        optimizer = jd.transfer.freeze(optimizer, shapes, "encoder/*")
    count = len(chosen[0])
    runs = jd.fit_lanes(
        model, LOSS, optimizer, train, keys=range(len(chosen)), indices=chosen, epochs=STEPS * BATCH // count,
        batch_size=BATCH, hyperparameters=hyperparameters,
    )  # fmt: skip
    return [run.evaluate(test, metrics="accuracy")["accuracy"] for run in runs]


def interval(values: Any) -> tuple[float, float]:
    """The mean and half the width of its 95 % interval by Student's t."""
    values = np.asarray(values)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else 0.0
    return float(values.mean()), float(half)


def picture(data: dict[str, dict[str, list[float]]]) -> Any:
    """Accuracy by the number of labels, with intervals."""
    drawn = _canvas.figure(8, 4.5)
    axis = drawn.subplots()
    _canvas.plain(axis)
    for way, colour in COLOURS.items():
        means, halves = zip(*(interval(data[str(count)][way]) for count in LABELS), strict=True)
        axis.errorbar(LABELS, means, halves, color=colour, marker="o", markersize=4, capsize=3, label=way)
    axis.set_xscale("log")
    axis.set_xticks(LABELS, [str(count) for count in LABELS])
    axis.minorticks_off()
    axis.set_xlabel("labels")
    axis.set_ylabel("test accuracy")
    axis.legend(frameon=False, loc="lower right")
    return drawn


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    seeds, epochs = (2, 2) if options.quick else (options.seeds, EPOCHS)
    began = time.perf_counter()
    train, test = jd.data.split(jd.data.load("digits"), 0.2, key=0)
    pretrained = encoders(train.inputs, seeds, epochs)
    orders = [np.random.default_rng(seed).permutation(len(train)) for seed in range(seeds)]
    data: dict[str, dict[str, list[float]]] = {}
    rows, gains = [], {}
    for count in LABELS:
        chosen = [order[:count] for order in orders]
        found = {way: accuracies(way, pretrained, train, test, chosen) for way in WAYS}
        data[str(count)] = found
        gains[count] = interval(np.subtract(found["pretrained"], found["from scratch"]))
        cells = [interval(found[way]) for way in WAYS]
        rows.append([str(count), *(f"{m:.3f} ± {h:.3f}" for m, h in cells), "{:+.3f} ± {:.3f}".format(*gains[count])])
        print(rows[-1])
    paying = [count for count, (mean, half) in gains.items() if mean - half > 0]
    left = [count for count in LABELS if count > max(paying, default=0)]
    said = f"The interval of the gain is above 0 for {', '.join(map(str, paying)) or 'no number of'} labels"
    if paying and left:
        said += f"; from {left[0]} on pretraining does not pay"
    stack = "-".join(map(str, WIDTHS))
    sizes = f"{len(train)} images to train on, {len(test)} to test"
    text = "\n\n".join(
        [
            "# Pretraining",
            "\n".join(_timing.machine(PACKAGES, options.date)),
            f"`benchmarks/pretraining.py`: digits, {sizes}; seeds: {seeds}.\n"
            f"Denoising autoencoders {stack} and back, half of the inputs masked, {epochs} epochs of all\n"
            "training images without labels (the best of five settings by accuracy on a fifth of them from 20 and 100\n"
            f"labels); then a head, and {STEPS} steps of Adam, 1e-3, in batches of {BATCH}. Test accuracy,\n"
            "mean ± half the 95 % interval over seeds; the gain is that of *pretrained* over *from scratch*, by seed.\n"
            "A first setting (64-128-64, noise 0.25, 100 epochs) was run in full before and paid nowhere (gains of\n"
            "+0.004 to -0.004).",
            _timing.table(["labels", *WAYS, "gain"], rows),
            f"{said}.",
            "![accuracy by the number of labels](pretraining.png)",
        ]
    )
    _timing.publish("pretraining", text, data, write=not options.quick)
    if not options.quick:
        _canvas.save(picture(data), _timing.RESULTS / "pretraining.png")
    print(f"{time.perf_counter() - began:.0f} s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=20)


if __name__ == "__main__":
    main()
