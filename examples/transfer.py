"""Transfer: what is learned of the digits 0–4 starts 5–9 with 50 labels: at first frozen, then thawed from the top.

Dense features of five digits serve the others badly, convolutional ones well; to start from scratch is no worse here.
"""

import jax
import numpy as np

from jaxdict import data, fit, layers, models, optimizers, transfer

LABELS, SEEDS, EPOCHS, LOSS = 50, 3, 60, "sparse_softmax_cross_entropy"
relu, flat = layers.activation("relu"), layers.flatten()
NETWORKS = {
    "dense": [flat, layers.dense(64, name="lower"), relu, layers.dense(64, name="upper"), relu],
    "convolutional": [
        layers.conv(16, (3, 3), name="lower"), relu, layers.conv(32, (3, 3), strides=2, name="upper"), relu, flat,
    ],
}  # fmt: skip
# Each stage goes on from the one before, with a lower rate where more of what was learned may move.
STAGES = {
    "a head on frozen features": (["lower/*", "upper/*"], 1e-2),
    "then the upper layer too": (["lower/*"], 1e-3),
    "then all layers": ((), 3e-4),
}

digits = data.load("digits")
images, first = digits.inputs.reshape(-1, 8, 8, 1), digits.targets < 5
inputs, targets = images[~first], digits.targets[~first] - 5
for network, body in NETWORKS.items():
    old = models.serial(*body, layers.dense(5, name="old_head"))
    model = models.serial(*body, layers.dense(5, name="new_head"))
    learned = fit(old, LOSS, "adam", (images[first], digits.targets[first]), key=0, epochs=30)
    scores = {name: [] for name in ("from scratch", *STAGES)}
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(inputs))
        few, rest = ((inputs[part], targets[part]) for part in (order[:LABELS], order[LABELS:]))
        fresh = model.init(jax.random.key(seed), (8, 8, 1))[0]
        reused = transfer.reuse(fresh, learned.params, ["lower/*", "upper/*"])  # the new head keeps its own start
        run = fit(model, LOSS, optimizers.adam(3e-3), few, key=seed, epochs=EPOCHS, batch_size=10, params=fresh)
        scores["from scratch"].append(run.evaluate(rest, metrics="accuracy")["accuracy"])
        for name, (patterns, rate) in STAGES.items():
            optimizer = transfer.freeze(optimizers.adam(rate), reused, patterns)
            run = fit(model, LOSS, optimizer, few, key=seed, epochs=EPOCHS, batch_size=10, params=reused)
            scores[name].append(run.evaluate(rest, metrics="accuracy")["accuracy"])
            reused = run.params
    for name, values in scores.items():
        print(f"{network}, {name}: accuracy {np.mean(values):.3f}, {min(values):.3f} to {max(values):.3f}")
