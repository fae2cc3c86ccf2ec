"""The workloads: what every contender trains on, made once, written to a folder, and read by each process."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Arrays(NamedTuple):
    """Training and validation part: inputs float32, labels int32."""

    x: Any
    y: Any
    x_validation: Any
    y_validation: Any


@dataclasses.dataclass(frozen=True)
class Task:
    """One model on one data set, Adam 1e-3. ``examples``: the training part; ``epochs``: what one timed turn trains."""

    name: str
    widths: tuple[int, ...]
    batch: int
    epochs: int
    examples: int
    folder: str = ""

    @property
    def steps(self) -> int:
        """Full batches in an epoch."""
        return self.examples // self.batch

    def arrays(self) -> Arrays:
        """Read anew at each call, so that a contender can let go of what it has put on its device."""
        return Arrays(*map(self._array, Arrays._fields))

    def _array(self, name: str) -> np.ndarray:
        return np.load(Path(self.folder, f"{name}.npy"))

    def on_device(self) -> Arrays:
        """The same as jax arrays. Each copy is waited for, so that nobody holds all of the data twice for a while."""
        import jax  # here, for the processes of other frameworks do without it

        return Arrays(*(jax.block_until_ready(jax.numpy.asarray(self._array(name))) for name in Arrays._fields))


TASKS = {
    task.name: task
    for task in (
        Task("digits", (64, 128, 64, 10), batch=32, epochs=300, examples=1797),
        Task("fm32", (784, 300, 100, 10), batch=32, epochs=3, examples=60_000),
        Task("fm128", (784, 300, 100, 10), batch=128, epochs=3, examples=60_000),
    )
}


def write(task: Task, folder: Path) -> Task:
    """The task with its arrays lying in ``folder``."""
    folder.mkdir(parents=True)
    task = dataclasses.replace(task, folder=str(folder))
    for name, array in (_digits() if task.name == "digits" else _fashion_shaped(task.examples))._asdict().items():
        np.save(folder / f"{name}.npy", array)
    (folder / "task.json").write_text(json.dumps(dataclasses.asdict(task)))
    return task


def read(folder: str) -> Task:
    """The task that ``write`` left in ``folder``."""
    fields = json.loads(Path(folder, "task.json").read_text())
    return Task(**{**fields, "widths": tuple(fields["widths"])})


def _digits() -> Arrays:
    from sklearn.datasets import load_digits  # only the process that writes the workloads needs it

    data, target = load_digits(return_X_y=True)
    x, y = np.asarray(data / 16, np.float32), np.asarray(target, np.int32)
    return Arrays(x, y, x[:360], y[:360])


def _fashion_shaped(examples: int) -> Arrays:
    """Noise in Fashion-MNIST's shape, labelled by a random linear teacher so that there is something to learn."""
    generator = np.random.default_rng(0)
    x = generator.random((examples + 10_000, 784), dtype=np.float32)
    y = np.argmax((x - 0.5) @ generator.standard_normal((784, 10), dtype=np.float32), axis=1).astype(np.int32)
    return Arrays(x[:examples], y[:examples], x[examples:], y[examples:])
