"""Training many small models: jaxdict and its peers, each as its users would write it for speed.

A builder takes the task and gives ``run(count)``, which trains so many models from other seeds, ``EPOCHS`` epochs each.
"""

import warnings
from collections.abc import Callable
from typing import Any

from _peers import keras_model, torch_model
from _workloads import Task

EPOCHS = 10


def jaxdict_lanes(task: Task, *, width: int = 1) -> Callable[[int], None]:
    import jaxdict as jd

    x, y, *_ = task.on_device()
    model = jd.models.mlp(list(task.widths), activation="relu")

    def run(count: int) -> None:
        runs = jd.fit_lanes(
            model, "sparse_softmax_cross_entropy", jd.optimizers.adam(1e-3), (x, y), keys=range(count), epochs=EPOCHS,
            batch_size=task.batch, width=min(width, -(-count // 2)), workers=2,
        )  # fmt: skip
        if any(run.result != "done" for run in runs):
            raise RuntimeError(f"not all were trained: {runs!r}")

    return run


def jaxdict_wide(task: Task) -> Callable[[int], None]:
    return jaxdict_lanes(task, width=16)


def jaxdict_one_by_one(task: Task) -> Callable[[int], None]:
    import jaxdict as jd

    x, y, *_ = task.on_device()
    model = jd.models.mlp(list(task.widths), activation="relu")

    def run(count: int) -> None:
        for key in range(count):
            jd.fit(
                model, "sparse_softmax_cross_entropy", jd.optimizers.adam(1e-3), (x, y), key=key, epochs=EPOCHS,
                batch_size=task.batch,
            )  # fmt: skip

    return run


def keras(task: Task) -> Callable[[int], None]:
    """A model after another, by the defaults."""
    import keras

    x, y, *_ = task.arrays()
    options: dict[str, Any] = {"batch_size": task.batch, "verbose": 0}

    def run(count: int) -> None:
        for seed in range(count):
            keras.utils.set_random_seed(seed)
            keras_model(task).fit(x, y, epochs=EPOCHS, **options)

    return run


def torch(task: Task, *, fused: bool | None = None) -> Callable[[int], None]:
    """A model after another, one thread, which is quickest for so small a model."""
    import torch

    x, y, *_ = (torch.from_numpy(a) for a in task.arrays())
    y = y.long()
    torch.set_num_threads(1)

    def run(count: int) -> None:
        for seed in range(count):
            torch.manual_seed(seed)
            model = torch_model(task)
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
            for _ in range(EPOCHS):
                order = torch.randperm(task.examples)
                for inputs, labels in zip(x[order].split(task.batch), y[order].split(task.batch), strict=True):
                    optimizer.zero_grad()
                    torch.nn.functional.cross_entropy(model(inputs), labels).backward()
                    optimizer.step()

    return run


def torch_fused(task: Task) -> Callable[[int], None]:
    return torch(task, fused=True)


def torch_vmap(task: Task) -> Callable[[int], None]:
    """All models at once by ``torch.func``: stacked parameters, vmap of grad, fused Adam over the stacks."""
    import torch

    x, y, *_ = (torch.from_numpy(a) for a in task.arrays())
    y = y.long()
    torch.set_num_threads(2)
    base = torch_model(task).to("meta")

    def loss(params: Any, inputs: Any, labels: Any) -> Any:
        outputs = torch.func.functional_call(base, params, (inputs,))
        return torch.nn.functional.cross_entropy(outputs, labels)

    gradient = torch.func.vmap(torch.func.grad(loss))

    def run(count: int) -> None:
        models = []
        for seed in range(count):
            torch.manual_seed(seed)
            models.append(torch_model(task))
        stacked, _ = torch.func.stack_module_state(models)
        params = {name: p.detach().clone().requires_grad_() for name, p in stacked.items()}
        optimizer = torch.optim.Adam(params.values(), lr=1e-3, fused=True)
        for _ in range(EPOCHS):
            orders = torch.stack([torch.randperm(task.examples) for _ in range(count)])
            for rows in orders.split(task.batch, dim=1):
                found = gradient({name: p.detach() for name, p in params.items()}, x[rows], y[rows])
                for name, p in params.items():
                    p.grad = found[name]
                optimizer.step()

    return run


def sklearn(task: Task) -> Callable[[int], None]:
    """joblib with a process a core, each with one thread."""
    import joblib

    x, y, *_ = task.arrays()

    def run(count: int) -> None:
        joblib.Parallel(n_jobs=2)(joblib.delayed(_sklearn_fit)(task, x, y, seed) for seed in range(count))

    return run


def _sklearn_fit(task: Task, x: Any, y: Any, seed: int) -> None:
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits

    warnings.simplefilter("ignore")  # that the epochs are over before it has converged is the point
    with threadpool_limits(1):
        MLPClassifier(
            hidden_layer_sizes=task.widths[1:-1], batch_size=task.batch, max_iter=EPOCHS, n_iter_no_change=EPOCHS + 1,
            random_state=seed, alpha=0.0,
        ).fit(x, y)  # fmt: skip
