"""jaxdict and its peers, each as its users would write it for speed.

A builder takes the task and gives ``run(epochs)``, which trains that long. A framework is imported in its builder: each
contender has a process of its own and loads only what it needs.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

from _workloads import Task


def jaxdict(task: Task, *, validate: bool = False) -> Callable[[int], dict[str, float]]:
    """``fit`` with everything it always does; the inner clock is the history's."""

    import jaxdict as jd

    x, y, x_validation, y_validation = task.on_device()

    def run(epochs: int) -> dict[str, float]:
        result = jd.fit(
            jd.models.mlp(list(task.widths), activation="relu"),
            "sparse_softmax_cross_entropy",
            jd.optimizers.adam(1e-3),
            (x, y),
            key=0,
            epochs=epochs,
            batch_size=task.batch,
            validation=(x_validation, y_validation) if validate else None,
        )
        if result.result != "done":
            raise RuntimeError(f"the run ended as {result.result!r}")
        return {"inner_seconds": float(sum(result.history["seconds"]))}

    return run


def jaxdict_validated(task: Task) -> Callable[[int], dict[str, float]]:
    return jaxdict(task, validate=True)


def keras_model(task: Task, *, steps_per_execution: int = 1) -> Any:
    """The task's network, compiled."""
    import keras

    layers = [keras.layers.Dense(width, activation="relu") for width in task.widths[1:-1]]
    model = keras.Sequential([keras.Input(task.widths[:1]), *layers, keras.layers.Dense(task.widths[-1])])
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=steps_per_execution,
    )
    return model


def keras(task: Task, *, steps_per_execution: int = 1) -> Callable[[int], None]:
    x, y, *_ = task.arrays()
    model = keras_model(task, steps_per_execution=steps_per_execution)
    options: dict[str, Any] = {"batch_size": task.batch, "verbose": 0}
    return lambda epochs: void(model.fit(x, y, epochs=epochs, **options))


def keras_executions(task: Task) -> Callable[[int], None]:
    """A whole epoch per execution."""
    return keras(task, steps_per_execution=-(-task.examples // task.batch))


def torch_model(task: Task) -> Any:
    """The task's network."""
    import torch

    layers: list[torch.nn.Module] = []
    for i, o in zip(task.widths, task.widths[1:], strict=False):
        layers += [torch.nn.Linear(i, o), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def torch(task: Task, *, fused: bool = False) -> Callable[[int], None]:
    """Batches are views of a resident tensor that is shuffled once an epoch; no DataLoader."""
    import torch

    x, y, *_ = (torch.from_numpy(a) for a in task.arrays())
    y = y.long()
    model = torch_model(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def steps(count: int) -> None:
        order = torch.randperm(task.examples)[: count * task.batch]
        for inputs, labels in zip(x[order].split(task.batch), y[order].split(task.batch), strict=True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), labels).backward()
            optimizer.step()

    def run(epochs: int) -> None:
        for _ in range(epochs):
            steps(task.steps)

    torch.set_num_threads(fastest((1, 2), torch.set_num_threads, lambda: steps(min(task.steps, 100))))
    return run


def torch_fused(task: Task) -> Callable[[int], None]:
    return torch(task, fused=True)


def flax(task: Task) -> Callable[[int], None]:
    """Flax NNX with ``nnx.jit`` and ``nnx.cached_partial``; the batch is taken inside the step."""
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    x, y, *_ = task.on_device()
    rngs = nnx.Rngs(0)
    layers: list[Any] = []
    for i, o in zip(task.widths, task.widths[1:], strict=False):
        layers += [nnx.Linear(i, o, rngs=rngs), nnx.relu]
    model = nnx.Sequential(*layers[:-1])
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer, x, y, order, index):
        rows = jax.lax.dynamic_slice(order, (index * task.batch,), (task.batch,))

        def loss_of(model):
            return optax.losses.softmax_cross_entropy_with_integer_labels(model(x[rows]), y[rows]).mean()

        optimizer.update(model, nnx.grad(loss_of)(model))
        return index + 1

    cached = nnx.cached_partial(train, model, optimizer)
    shuffle = jax.jit(lambda key: jax.random.permutation(key, task.examples))
    zero = jnp.zeros((), jnp.int32)

    def run(epochs: int) -> None:
        for epoch in range(epochs):
            order, index = shuffle(jax.random.key(epoch)), zero
            for _ in range(task.steps):
                index = cached(x, y, order, index)
        jax.block_until_ready(nnx.state(model))

    return run


def sklearn(task: Task) -> Callable[[int], None]:
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    x, y, *_ = task.arrays()
    size: dict[str, Any] = {"batch_size": task.batch}
    warnings.simplefilter("ignore")  # that the epochs are over before it has converged is the point

    def train(epochs: int, count: int) -> None:
        stop: dict[str, Any] = {"max_iter": epochs, "n_iter_no_change": epochs + 1}
        MLPClassifier(task.widths[1:-1], alpha=0.0, **size, **stop).fit(x[:count], y[:count])

    def limit(threads: int) -> None:
        threadpool_limits(threads)

    limit(fastest((1, 2), limit, lambda: train(1, 100 * task.batch)))
    return lambda epochs: train(epochs, task.examples)


def fastest(settings: tuple[int, ...], apply: Callable[[int], Any], work: Callable[[], Any], turns: int = 3) -> int:
    """The setting under which ``work`` takes the least time, each tried ``turns`` times after a warm-up."""
    best = dict.fromkeys(settings, float("inf"))
    work()
    for _ in range(turns):
        for setting in settings:
            apply(setting)
            started = time.perf_counter()
            work()
            best[setting] = min(best[setting], time.perf_counter() - started)
    return min(settings, key=best.__getitem__)


def void(_: Any) -> None:
    """Nothing, whatever comes."""
