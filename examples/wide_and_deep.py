"""A wide and deep network: some features go to the output at once, all of them through hidden layers."""

import numpy as np

import jaxdict as jd
from jaxdict import layers

WIDE = [2, 3, 8]  # body mass, blood pressure, triglycerides

data = jd.data.load("diabetes")
train, test = jd.data.standardize(*jd.data.split(data, 0.25, key=0))
middle, spread = train.targets.mean(), train.targets.std()


def parts(dataset):
    """Inputs by name, and targets with mean 0 and deviation 1."""
    return {"wide": dataset.inputs[:, WIDE], "deep": dataset.inputs}, (dataset.targets - middle) / spread


model = jd.models.graph(
    inputs=["wide", "deep"],
    nodes={
        "hidden": (jd.models.mlp([10, 16, 8], activation="relu", output="relu"), "deep"),
        "both": (layers.concatenate(), ["wide", "hidden"]),
        "progression": (layers.dense(1), "both"),
    },
    outputs="progression",
)
print(jd.models.summary(model, {"wide": (3,), "deep": (10,)}))
jd.plots.graph(model, {"wide": (3,), "deep": (10,)}, "wide_and_deep.png", title="Wide and deep")

run = jd.fit(
    model, "mse", jd.optimizers.adam(3e-3), parts(train), key=0, epochs=150, validation=0.2, metrics="r2",
    penalty=lambda params: jd.penalties.l2(params, 3e-3, mask="*kernel"),
    observers=[jd.observers.early_stopping(patience=20)],
)  # fmt: skip
print(run.message)
print(f"r2 on the test part: {run.evaluate(parts(test))['r2']:.2f}")
error = run.predict(parts(test)[0])[:, 0] * spread + middle - test.targets
print(f"mean absolute error: {np.abs(error).mean():.0f}, where {spread:.0f} is the deviation")
