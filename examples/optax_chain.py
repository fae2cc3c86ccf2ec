"""jaxdict's optimizers and schedules inside optax: clipping, masked decoupled decay, accumulated gradients."""

import jax
import optax

import jaxdict as jd

digits = jd.data.load("digits")
train, test = jd.data.split(digits, 0.2, key=0)
model = jd.models.mlp([64, 128, 10])

EPOCHS, BATCH, EVERY = 24, 16, 2  # a step of the optimizer for every second batch
updates = EPOCHS * -(-len(train) // BATCH) // EVERY
rate = jd.schedules.cosine_annealing(3e-3, updates, final_value=1e-4)


def kernels(params):
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


recipe = optax.chain(
    optax.clip_by_global_norm(1.0),
    jd.optimizers.scale_by_adam(),
    optax.add_decayed_weights(1e-2, mask=kernels),  # kernels decay, biases do not
    jd.optimizers.scale_by_rate(rate),
)
adamw = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-2, mask=kernels))

runs = [
    jd.fit(
        model, "sparse_softmax_cross_entropy", optax.MultiSteps(optimizer, every_k_schedule=EVERY), train,
        key=0, epochs=EPOCHS, batch_size=BATCH, metrics="accuracy",
    )
    for optimizer in (recipe, adamw)
]  # fmt: skip
for name, run in zip(("jaxdict's parts", "optax.adamw"), runs, strict=True):
    scores = run.evaluate(test)
    print(f"{name:<16} test accuracy {scores['accuracy']:.3f}, loss {scores['loss']:.4f}")
rates = runs[0].history["learning_rate"]
print("learning rate by epoch:", ", ".join(f"{value:.1e}" for value in rates[::4]), f"… {rates[-1]:.1e}")
apart = abs(runs[0].history["loss"] - runs[1].history["loss"]).max()
print(f"largest difference of the loss in an epoch: {apart:.1e}")
