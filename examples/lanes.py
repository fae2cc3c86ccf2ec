"""Five-fold cross-validation of eight learning rates: forty runs as lanes of one program, on all cores."""

import numpy as np

import jaxdict as jd

FOLDS, RATES = 5, np.geomspace(1e-4, 1e-1, 8)

digits = jd.data.load("digits")
order = np.random.default_rng(0).permutation(len(digits) // FOLDS * FOLDS).reshape(FOLDS, -1)
train = np.stack([np.delete(order, fold, axis=0).ravel() for fold in range(FOLDS)])

runs = jd.fit_lanes(
    jd.models.mlp([64, 64, 10], activation="relu"),
    "sparse_softmax_cross_entropy",
    jd.optimizers.adam,
    digits,
    keys=range(FOLDS * len(RATES)),
    hyperparameters={"learning_rate": np.repeat(RATES, FOLDS)},
    indices=np.tile(train, (len(RATES), 1)),
    validation_indices=np.tile(order, (len(RATES), 1)),
    epochs=15,
    metrics="accuracy",
)
print(runs, "in", f"{runs.seconds:.1f} s:", runs.plan.why)

scores = runs.table()["validation_accuracy"].reshape(len(RATES), FOLDS)
for rate, folds in zip(RATES, scores, strict=True):
    print(f"learning rate {rate:.1e}: accuracy {folds.mean():.3f} ± {folds.std(ddof=1):.3f}")
best = runs.best("validation_accuracy")
print(f"the best lane has the rate {float(best.hyperparameters['learning_rate']):.1e}, {best.message}")
