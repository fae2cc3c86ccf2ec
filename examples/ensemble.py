"""Three ensembles of eight on the digits: by seeds, by bootstrap samples, and by snapshots of a single run."""

import numpy as np

import jaxdict as jd
from jaxdict import ensemble

MEMBERS, EPOCHS = 8, 16

rest, test = jd.data.split(jd.data.load("digits"), 0.3, key=0)
model = jd.models.mlp([64, 32, 10], activation="relu")
loss = "sparse_softmax_cross_entropy"
options = {"epochs": EPOCHS, "key": 0, "metrics": "accuracy"}

made = {
    "seeds": ensemble.seeds(model, loss, jd.optimizers.adam(2e-3), rest, members=MEMBERS, **options),
    "bagging": ensemble.bagging(model, loss, jd.optimizers.adam(2e-3), rest, members=MEMBERS, **options),
    "snapshots": ensemble.snapshots(model, loss, "adam", rest, cycles=MEMBERS, learning_rate=1e-2, **options),
}
for name, members in made.items():
    scores = members.evaluate(test)
    print(
        f"{name:10} loss {scores['loss']:.3f} and accuracy {scores['accuracy']:.3f};"
        f" the mean member {scores['member_loss']:.3f} and {scores['member_accuracy']:.3f}"
    )

votes = made["seeds"].predict(test.inputs, output="classes", combine="vote")
print(f"by vote of the seeds, accuracy {np.mean(votes == test.targets):.3f}")
print(f"out of the bags, without the test set, accuracy {made['bagging'].oob_score(rest)['accuracy']:.3f}")

wrong = made["seeds"].predictions(test.inputs, output="probabilities") - np.eye(10)[None, test.targets]
law = ensemble.error_law(wrong)
print(f"squared error of a member {law.member:.5f}, of the average {law.averaged:.5f}; by the law {law.predicted:.5f}")

again = ensemble.load(made["bagging"].save("runs/bagging.safetensors"))
same = np.array_equal(again.predict(test.inputs), made["bagging"].predict(test.inputs))
print("loaded predictions are the same:", same)
