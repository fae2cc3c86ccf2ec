"""The pure step in a loop of one's own: sixteen networks from sixteen seeds, trained by one compiled program."""

import jax
import jax.numpy as jnp

import jaxdict as jd
from jaxdict.train import TrainState, make_step

MEMBERS, EPOCHS, BATCH = 16, 20, 32

train, test = jd.data.split(jd.data.load("digits"), 0.3, key=0)
inputs, labels = jnp.asarray(train.inputs), jnp.asarray(train.targets)
model = jd.models.mlp([64, 32, 10], activation="swish")
optimizer = jd.optimizers.adam(3e-3)
step = make_step(model, "sparse_softmax_cross_entropy", optimizer, metrics="accuracy")


def member(key):
    """One network's whole training: key -> (parameters, loss and accuracy by epoch)."""
    params, state, _ = model.init(key, (64,))

    def epoch(train_state, number):
        order = jax.random.permutation(jax.random.fold_in(key, number), len(train))
        batches = order[: len(train) // BATCH * BATCH].reshape(-1, BATCH)

        def one(train_state, indices):
            return step(train_state, (inputs[indices], labels[indices]), key)

        train_state, rows = jax.lax.scan(one, train_state, batches)
        return train_state, jax.tree.map(jnp.mean, rows)

    start = TrainState(params, state, optimizer.init(params))
    final, history = jax.lax.scan(epoch, start, jnp.arange(EPOCHS))
    return final.params, history


params, history = jax.jit(jax.vmap(member))(jax.random.split(jax.random.key(0), MEMBERS))
for number in (0, 4, EPOCHS - 1):
    loss, accuracy = history["loss"][:, number], history["accuracy"][:, number]
    print(f"epoch {number + 1:2}: loss {loss.mean():.3f} ± {loss.std():.3f}, training accuracy {accuracy.mean():.3f}")

logits = jax.vmap(lambda p: model.apply(p, {}, test.inputs)[0])(params)  # (members, examples, classes)
alone = [float(jnp.mean(jd.metrics.accuracy(each, test.targets))) for each in logits]
together = jd.activations.softmax(logits).mean(axis=0)
score = float(jd.metrics.accuracy(together, test.targets))
print(f"test accuracy alone: {min(alone):.3f} to {max(alone):.3f}, mean {sum(alone) / MEMBERS:.3f}")
print(f"test accuracy of the mean of their probabilities: {score:.3f}")
