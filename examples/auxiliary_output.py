"""An auxiliary output from the middle of a network, and how much its loss should weigh: weights are data."""

import numpy as np

import jaxdict as jd
from jaxdict import layers

WEIGHTS, SEEDS = [0.0, 0.1, 0.3, 1.0], 3

digits = jd.data.load("digits")
few, test = jd.data.split(digits, 0.8, key=0)  # 359 examples to learn from

lower = jd.models.mlp([64, 32, 32], activation="tanh", output="tanh")
upper = jd.models.mlp([32, 32, 32, 10], activation="tanh")
model = jd.models.graph(
    inputs="pixels",
    nodes={
        "lower": (lower, "pixels"),
        "main": (upper, "lower"),
        "aux": (layers.dense(10), "lower"),  # the same labels, from half way up
    },
    outputs=["main", "aux"],
)


def both(dataset):
    return dataset.inputs, {"main": dataset.targets, "aux": dataset.targets}


cross_entropy = "sparse_softmax_cross_entropy"
runs = jd.fit_lanes(
    model, {"main": cross_entropy, "aux": cross_entropy}, jd.optimizers.adam(2e-3), both(few),
    keys=range(len(WEIGHTS) * SEEDS), loss_weights={"main": 1.0, "aux": np.repeat(WEIGHTS, SEEDS)},
    epochs=30, validation=both(test), metrics={"main": ["accuracy"], "aux": ["accuracy"]},
)  # fmt: skip
print(runs, "by", runs.compiles, "program")

table = runs.table()
for i, weight in enumerate(WEIGHTS):
    lanes = slice(i * SEEDS, (i + 1) * SEEDS)
    main, aux = (table[f"validation_{name}_accuracy"][lanes].mean() for name in ("main", "aux"))
    print(f"weight {weight}: accuracy {main:.3f}, of the auxiliary output {aux:.3f}")
