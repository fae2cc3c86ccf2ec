"""A run in its folder: trained there, gone on with, and opened again."""

import dataclasses
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxdict import _registry, callbacks, checkpoint, runner
from jaxdict import data as data_room
from jaxdict._files import write_text
from jaxdict._versions import system, versions
from jaxdict.config.experiment import Experiment, build, prepare, prepare_inputs
from jaxdict.config.schema import Config, ConfigError, TrainingSection, about, load
from jaxdict.data import Dataset, readers
from jaxdict.runner import Run


class _Folder:
    """Makes the run's folder and what says how to use it, when training starts: everything was checked by then."""

    def __init__(self, path: Path, experiment: Experiment):
        self.path, self.experiment, self.started = path, experiment, False

    def on_start(self, _: Run) -> None:
        self.started = True
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "config.toml", self.experiment.config.to_toml())
        write_text(self.path / "preprocess.json", json.dumps(self.experiment.preprocess, ensure_ascii=False) + "\n")


def run(
    config: Config | Experiment, out: str | os.PathLike[str], *, resume: bool = False, callbacks: Sequence[Any] = ()
) -> Run:
    """Train as a config says and leave everything in a folder.

    The folder holds config.toml (resolved), preprocess.json, metrics.csv, curves.png, checkpoints/, tensorboard/ and,
    at the end, result.json.

    Args:
      config: a config, or what ``build`` made of it.
      out: the folder; made once everything is built and checked.
      resume: go on with the run in the folder, bit for bit, or start it where it has no checkpoint yet. Its config must
        be this one but for the number of epochs.
      callbacks: further ones, such as ``callbacks.progress()``.

    Returns:
      The Run, with the parameters that were tested.

    Raises:
      ConfigError: a config or data that cannot be used, a folder that holds something else; nothing is written.
      CheckpointError: a checkpoint of another run.
    """
    began = time.perf_counter()
    experiment = config if isinstance(config, Experiment) else build(config)
    config, out = experiment.config, Path(out)
    start = _claim(out, config, resume)
    training = config.training
    if training.compilation_cache is not None:
        jax.config.update("jax_compilation_cache_dir", os.path.abspath(training.compilation_cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    folder = _Folder(out, experiment)
    try:
        result = runner.fit(
            experiment.model, experiment.loss, experiment.optimizer, experiment.train,
            key=training.seed, epochs=training.epochs, batch_size=training.batch_size,
            validation=experiment.validation, metrics=training.metrics, penalty=experiment.penalty,
            class_weight=experiment.class_weight, observers=experiment.observers,
            callbacks=[folder, *callbacks, *_writers(config, out)], resume=start,
            segment_epochs=training.segment_epochs, precision=training.precision, accumulation=training.accumulation,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        if folder.started or isinstance(error, checkpoint.CheckpointError):
            raise
        key = str(error).partition(" ")[0]
        raise ConfigError(f"training.{error}" if key in TrainingSection.model_fields else str(error)) from error
    scores = None if experiment.test is None else result.evaluate(experiment.test)
    times = {
        "compile": result.compile_seconds,
        "training": float(np.sum(result.history["seconds"])) if result.history.epochs else 0.0,
        "total": time.perf_counter() - began,
    }
    record = {
        "test": scores,
        "result": result.result,
        "message": result.message,
        "epochs": result.epoch,
        "best_epoch": None if result.best is None else result.best.epoch,
        "seconds": times,
        "data": {
            "source": config.data.source,
            "fingerprint": experiment.preprocess["fingerprint"],
            "train": len(experiment.train),
            "validation": len(experiment.validation or ()),
            "test": len(experiment.test or ()),
        },
        "versions": versions() | system(),
    }
    write_text(out / "result.json", json.dumps(_finite(record), indent=2, ensure_ascii=False) + "\n")
    return result


def _writers(config: Config, out: Path) -> list[Any]:
    output = config.output
    chosen = [
        callbacks.csv(out / "metrics.csv"),
        callbacks.checkpoint(out / "checkpoints", seconds=output.checkpoint_seconds, keep=output.keep),
    ]
    if output.tensorboard:
        chosen.append(callbacks.tensorboard(out / "tensorboard"))
    if output.curves:
        chosen.append(callbacks.curves(out / "curves.png", title=out.resolve().name))
    return chosen


def check_folder(out: Path, resume: bool) -> bool:
    """Whether ``out`` holds a run to go on from.

    Raises:
      ConfigError: a file, a folder with something else in it, or with a run that is not to be resumed.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not out.is_dir():
        raise ConfigError(f"{out} is a file; the output must be a folder")
    if not (out / "config.toml").is_file():
        raise ConfigError(f"{out} is not empty and holds no run; choose another folder")
    if not resume:
        raise ConfigError(f"{out} holds another run; go on with it by --resume, or choose another folder")
    return True


def _claim(out: Path, config: Config, resume: bool) -> Path | None:
    """The checkpoint to go on from; a ConfigError when the folder is not this run's to write into."""
    if not check_folder(out, resume):
        return None
    before, now = (dict(_flat(c.model_dump())) for c in (load(out / "config.toml"), config))
    for key in {**now, **before}:
        if before.get(key) != now.get(key) and key not in ("training.epochs", "output.folder"):
            raise ConfigError(f"cannot resume {out}: {key} was {before.get(key)!r} and is {now.get(key)!r} now")
    return checkpoint.latest(out / "checkpoints")


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield path + key, value


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for them."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


class OpenRun(NamedTuple):
    """A run read from its folder: its resolved config, what is known of its inputs, and the run itself."""

    config: Config
    preprocess: dict[str, Any]
    run: Run


def open_run(folder: str | os.PathLike[str]) -> OpenRun:
    """The run that ``run`` left in ``folder``, ready to predict and evaluate.

    Raises:
      ConfigError: no such folder, or no run in it. CheckpointError: no checkpoint that can be read.
    """
    folder = Path(folder)
    if not (folder / "config.toml").is_file() or not (folder / "preprocess.json").is_file():
        raise ConfigError(f"{folder} holds no run: no config.toml and preprocess.json")
    config = load(folder / "config.toml")
    with about(str(folder / "preprocess.json")):
        preprocess = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
    loss = _registry.find(config.loss.name or "", "loss").function
    loss = partial(loss, **config.loss.options) if config.loss.options else loss
    loaded = runner.load_run(folder / "checkpoints", loss=loss, metrics=config.training.metrics)
    return OpenRun(config, preprocess, loaded)


def read_result(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What result.json in ``folder`` says; ConfigError when it is missing or damaged."""
    path = Path(folder) / "result.json"
    with about(str(path)):
        return json.loads(path.read_text(encoding="utf-8"))


def evaluate(opened: OpenRun, *, source: str | None = None, target: str | None = None) -> dict[str, float]:
    """Loss and metrics of a run on its own test part, or on all of ``source``, other data of the same form.

    Args:
      opened: what ``open_run`` gives. source: as ``data.source`` in a config.
      target: the target column or key in ``source``; when None that of the config.

    Raises:
      ConfigError: no test part, its data changed since, data that cannot be read, or a class that the run never saw.
    """
    if source is None:
        experiment = build(opened.config)
        if experiment.test is None:
            raise ConfigError("the run kept no test part (data.test_fraction is 0); give --data")
        if experiment.preprocess["fingerprint"] != opened.preprocess["fingerprint"]:
            raise ConfigError(f"{opened.config.data.source} is not what it was when the run began; give --data")
        return opened.run.evaluate(experiment.test)
    section, preprocess = opened.config.data, opened.preprocess
    with about("--data"):
        task = preprocess["task"] if _suffix(Path(source)) in (".csv", ".npz") else None
        data = data_room.load(
            os.path.expanduser(source), target=target or section.target, task=task, flatten=section.flatten
        )
        if data.inputs.shape[1:] != tuple(preprocess["input_shape"]):
            expected = tuple(preprocess["input_shape"])
            raise ConfigError(f"--data: examples of {source} have shape {data.inputs.shape[1:]}, not {expected}")
        return opened.run.evaluate(prepare(preprocess, _same_classes(data, preprocess["classes"], source)))


def _suffix(path: Path) -> str:
    kinds = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return kinds[-1] if kinds else ""


def _same_classes(data: Dataset, classes: Sequence[str], source: str) -> Dataset:
    """``data`` with labels that count the run's classes."""
    for name in data.classes:
        if name not in classes:
            raise ConfigError(f"--data: {source} holds the class {name!r}; the run knows {', '.join(classes)}")
    if not classes:
        return data
    places = np.asarray([classes.index(name) for name in data.classes], np.int32)
    return dataclasses.replace(data, targets=places[data.targets], classes=tuple(classes))


def read_inputs(preprocess: Mapping[str, Any], path: str | os.PathLike[str]) -> np.ndarray:
    """Inputs ``(n, …)`` from a ``.csv`` with the columns of the training data, or an ``.npz``.

    Columns are found by name where the training data had names; others are passed over. In an ``.npz`` the inputs are
    under a usual name (inputs, x, x_test, data), or the only array.

    Raises:
      ConfigError: no such file, another kind of file, columns or shapes that do not fit, values that are no numbers.
    """
    path = Path(path)
    with about("input"):
        if _suffix(path) == ".npz":
            arrays = readers.read_npz(path)
            usual = [name for name in ("inputs", "x", "x_test", "data") if name in arrays]
            names = usual or (list(arrays) if len(arrays) == 1 else [])
            if not names:
                raise ConfigError(f"input: {path} holds {', '.join(arrays) or 'nothing'}; call the inputs 'inputs'")
            inputs = arrays[names[0]]
            if inputs.dtype.kind not in "fiub":
                raise ConfigError(f"input: {path}: {names[0]!r} must hold numbers; got {inputs.dtype}")
            inputs = readers.as_images(inputs, flatten=False)
        elif _suffix(path) == ".csv":
            inputs = _read_columns(path, preprocess["features"])
        else:
            raise ConfigError(f"input must be a .csv or an .npz; got {str(path)!r}")
    shape = tuple(preprocess["input_shape"])
    size = int(np.prod(shape))
    if inputs.ndim < 1 or inputs[:1].size != size or not len(inputs):
        raise ConfigError(f"input: {path} must hold examples of shape {shape}; got {inputs.shape} in all")
    return inputs.reshape(len(inputs), *shape)


def _read_columns(path: Path, features: Sequence[str]) -> np.ndarray:
    header, rows, lines = readers.read_table(path)
    for name in features:
        if name not in header:
            raise ConfigError(f"input: {path}: no column {name!r}; columns: {', '.join(header)}")
    columns = list(features) or header
    places = [header.index(name) for name in columns]
    return readers.parse_numbers(path, [[row[i] for i in places] for row in rows], lines, columns).astype(np.float32)


def predict(opened: OpenRun, inputs: np.ndarray) -> dict[str, list[Any]]:
    """Predictions for inputs as ``read_inputs`` gives them, by column.

    Returns:
      For classes ``prediction``, the name of the most probable, and ``probability_NAME`` of each; else ``prediction``,
      or ``prediction_1``, ``prediction_2``, … where there are several targets.
    """
    classes = opened.preprocess["classes"]
    inputs = prepare_inputs(opened.preprocess, inputs)
    with about("input"):
        values = np.asarray(opened.run.predict(inputs, output="probabilities" if classes else "raw"))
    if not classes:
        names = [f"prediction_{i + 1}" for i in range(values.shape[-1])] if values.shape[-1] > 1 else ["prediction"]
        return {name: values[:, i].tolist() for i, name in enumerate(names)}
    if values.shape[-1] == 1:
        values = np.concatenate([1 - values, values], axis=-1)
    chosen = [classes[i] for i in np.argmax(values, axis=-1)]
    return {"prediction": chosen} | {f"probability_{name}": values[:, i].tolist() for i, name in enumerate(classes)}
