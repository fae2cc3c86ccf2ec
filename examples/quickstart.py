"""Train a small network on the bundled handwritten digits: fit, evaluate, predict, save, load."""

import numpy as np

import jaxdict as jd

digits = jd.data.load("digits")  # 1797 images of 8 × 8 pixels, ten classes
rest, test = jd.data.split(digits, 0.2, key=0)  # class by class; the same key gives the same split
model = jd.models.mlp([64, 128, 64, 10], activation="gelu", dropout=0.1)
print(jd.models.summary(model, (64,)))

run = jd.fit(
    model,
    "sparse_softmax_cross_entropy",
    jd.optimizers.adam(2e-3),
    rest,
    key=0,
    epochs=100,
    validation=0.1,
    metrics="accuracy",
    observers=[jd.observers.early_stopping(patience=10)],  # ends with the best epoch's parameters
)
print(run.message)
print(f"{run.step} steps; the lowest validation loss is {run.history['validation_loss'].min():.3f}")
print("last row:", {name: round(value, 3) for name, value in run.history.last.items()})

scores = run.evaluate(test)
print(f"test accuracy {scores['accuracy']:.3f}, loss {scores['loss']:.3f}")
print("classes", run.predict(test.inputs[:8], output="classes"), "labels", test.targets[:8])

again = jd.load_run(run.save("runs/quickstart.safetensors"))  # holds how the model was made, too
same = np.array_equal(again.predict(test.inputs), run.predict(test.inputs))
print("loaded predictions are the same:", same)
