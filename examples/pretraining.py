"""Pretraining on an auxiliary task: by how many quarter turns an image is turned is known without anyone's labels."""

import jax
import numpy as np

from jaxdict import data, fit, layers, models, optimizers, transfer

LABELS, SEEDS, LOSS = (20, 100), 3, "sparse_softmax_cross_entropy"


def network(head, classes):
    return models.serial(
        layers.conv(16, (3, 3), name="lower"), layers.activation("relu"),
        layers.conv(32, (3, 3), strides=2, name="upper"), layers.activation("relu"),
        layers.flatten(), layers.dense(classes, name=head),
    )  # fmt: skip


digits, test = data.split(data.load("digits"), 0.2, key=0)
images, tested = digits.inputs.reshape(-1, 8, 8, 1), (test.inputs.reshape(-1, 8, 8, 1), test.targets)
turned = np.concatenate([np.rot90(images, turns, axes=(1, 2)) for turns in range(4)])
turns = np.repeat(np.arange(4), len(images))
auxiliary = fit(
    network("turns", 4), LOSS, "adam", (turned, turns), key=0, epochs=10, validation=0.1, metrics="accuracy"
)
print(f"turns of images held out: accuracy {auxiliary.history.last['validation_accuracy']:.3f}")

model = network("digits", 10)
for count in LABELS:
    scores = {"from scratch": [], "from the turns": []}
    for seed in range(SEEDS):
        few = np.random.default_rng(seed).permutation(len(images))[:count]
        fresh = model.init(jax.random.key(seed), (8, 8, 1))[0]
        starts = (fresh, transfer.reuse(fresh, auxiliary.params, ["lower/*", "upper/*"]))
        for name, params in zip(scores, starts, strict=True):
            slowly = transfer.rates(optimizers.adam(3e-3), params, {"lower/*": 0.1, "upper/*": 0.1})
            optimizer = optimizers.adam(3e-3) if params is fresh else slowly
            run = fit(
                model, LOSS, optimizer, (images[few], digits.targets[few]), key=seed, epochs=3000 // count,
                batch_size=20, params=params,
            )  # fmt: skip
            scores[name].append(run.evaluate(tested, metrics="accuracy")["accuracy"])
    for name, values in scores.items():
        print(f"{count} labels {name}: accuracy {np.mean(values):.3f}, {min(values):.3f} to {max(values):.3f}")
