"""Configs: every mistake is one line that names key, value and what is allowed; what is right is built and runs."""

import functools
import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import config
from jaxdict.config import ConfigError

CONFIGS = Path(__file__).parents[1] / "configs"


@pytest.fixture
def table(tmp_path):
    """Three classes in a csv, and the smallest model for them."""
    random = np.random.default_rng(3)
    labels = np.arange(48) % 3
    x = random.normal(size=(48, 2)) + 3 * np.stack([labels == 1, labels == 2], 1)
    lines = ["width,kind,height"] + [f"{a:.4f},{'abc'[c]},{b:.4f}" for (a, b), c in zip(x, labels, strict=True)]
    (tmp_path / "data.csv").write_text("\n".join(lines))
    return {
        "data": {"source": str(tmp_path / "data.csv"), "target": "kind", "validation_fraction": 0.25},
        "model": {"hidden": [4]},
        "training": {"epochs": 3, "batch_size": 8},
    }


def changed(table, key, value):
    """A deep copy of the table with another value at a dotted key."""
    table = json.loads(json.dumps(table))
    *sections, last = key.split(".")
    functools.reduce(lambda t, s: t.setdefault(s, {}), sections, table)[last] = value
    return table


# --- mistakes ---------------------------------------------------------------------------------------------------------

MISTAKES = [
    ("optimizer.name", "adma", "optimizer.name: no optimizer is called 'adma'; did you mean 'adam' or 'adamax'"),
    ("model.activation", "rleu", "model.activation: no activation is called 'rleu'; did you mean 'relu'"),
    ("model.initializer", "he_norma", "model.initializer: no initializer is called 'he_norma'; did you mean 'he_norm"),
    ("loss.name", "hubr", "loss.name: no loss is called 'hubr'; did you mean 'huber'"),
    ("optimizer.schedule.name", "cosin", "optimizer.schedule.name: no schedule is called 'cosin'; did you mean"),
    ("penalty", {"name": "l3", "strength": 1.0}, "penalty.name: no penalty is called 'l3'"),
    ("training.metrics", ["acuracy"], "training.metrics: no metric or loss is called 'acuracy'; did you mean"),
    ("training.epoch", 3, "training.epoch is no key of a config; did you mean 'training.epochs'?"),
    ("optimiser", {}, "optimiser is no key of a config; did you mean 'optimizer'?"),
    ("training.dropout", 0.1, "training.dropout is no key of a config; did you mean 'model.dropout'?"),
    ("output.zzzz", 1, "output.zzzz is no key of a config; output holds checkpoint_seconds, curves, folder, keep"),
    ("training.early_stopping.patienc", 3, "did you mean 'training.early_stopping.patience'?"),
    ("optimizer.b3", 0.9, "optimizer.b3 is no option of adam; optimizer holds b1, b2, bias_correction, clip_norm, eps"),
    (
        "optimizer.learningrate",
        0.9,
        "optimizer.learningrate is no option of adam; did you mean 'optimizer.learning_rate",
    ),
    ("loss", {"delta": 2.0}, "loss.name is missing; loss.delta is an option of a named loss"),
    ("loss", {"name": "mse", "delta": 1.0}, "loss.delta is no option of mean_squared_error; loss holds none"),
    ("penalty", {"name": "l2", "strength": 1.0, "alpha": 0.5}, "penalty.alpha is no option of l2"),
    ("penalty", {"name": "elastic_net", "strength": 1.0}, "penalty.alpha is missing; elastic_net needs it"),
    ("data", {}, "data.source is missing"),
    ("data", 3, "data must be a table; got 3"),
    ("training.epochs", "five", "training.epochs must be a whole number; got 'five'"),
    ("training.epochs", 2.5, "training.epochs must be a whole number; got 2.5"),
    ("training.epochs", True, "training.epochs must be a whole number; got True"),
    ("training.epochs", 0, "training.epochs must be >= 1; got 0"),
    ("training.seed", 2**32, "training.seed must be < 4.29497e+09; got 4294967296"),
    ("training.precision", "float8", "training.precision must be 'float32' or 'bfloat16'; got 'float8'"),
    ("training.class_weight", 3, 'training.class_weight must be "balanced" or a table of a weight >= 0 for each class'),
    ("training.class_weight", {"a": -1.0}, "training.class_weight must be"),
    ("training.metrics", "accuracy", "training.metrics must be an array; got 'accuracy'"),
    ("training.early_stopping.min_delta", -0.5, "training.early_stopping.min_delta must be >= 0; got -0.5"),
    ("optimizer.learning_rate", -0.1, "optimizer.learning_rate must be > 0; got -0.1"),
    ("optimizer.learning_rate", float("nan"), "optimizer.learning_rate must be a finite number; got nan"),
    ("optimizer.clip_norm", float("inf"), "optimizer.clip_norm must be a finite number; got inf"),
    ("optimizer.learning_rate", "fast", "optimizer.learning_rate must be a number; got 'fast'"),
    ("model.hidden", [8, 0], "model.hidden[1] must be >= 1; got 0"),
    ("model.hidden", 8, "model.hidden must be an array; got 8"),
    ("model.dropout", 1.0, "model.dropout must be < 1; got 1.0"),
    ("model.batch_norm", "between", "model.batch_norm must be 'before' or 'after'; got 'between'"),
    ("data.standardize", "yes", "data.standardize must be true or false; got 'yes'"),
    ("data.source", 3, "data.source must be a string; got 3"),
    ("data.test_fraction", 1, "data.test_fraction must be < 1; got 1"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_mistakes_in_the_text(table, key, value, message):
    with pytest.raises(ConfigError) as caught:
        config.parse(changed(table, key, value))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


LATER = [
    ("optimizer.b1", 2.0, "optimizer.b1 must be >= 0 and < 1; got 2.0"),
    ("optimizer.b1", "x", "optimizer.b1 must be a number; got 'x'"),
    ("optimizer.name", "momentum", "optimizer.learning_rate is missing; momentum needs it"),
    ("optimizer.schedule", {"name": "exponential", "init_value": 1.0}, "optimizer.schedule.decay_rate is missing"),
    (
        "optimizer.schedule",
        {"name": "cosine_annealing", "init_value": 1.0, "decay_steps": -1},
        "optimizer.schedule.decay_steps must be > 0; got -1",
    ),
    ("optimizer.schedule", {"name": "constant"}, "optimizer.schedule.value is missing; constant needs it"),
    (
        "data.source",
        "digit",
        "data: no data set is called 'digit', and there is no such folder; did you mean 'digits'?",
    ),
    ("data.source", "nofile.csv", "data: nofile.csv: no such file"),
    ("data.target", "knid", "data: "),
    ("data.task", "binary", "data: data: a binary task has two classes; got 3"),
    (
        "loss.name",
        "mse",
        "loss.name: mean_squared_error does not suit the multiclass task of data; try 'sparse_softmax",
    ),
    ("training.class_weight", {"d": 1.0}, "training.class_weight.d: no class of data; known: a, b, c"),
    ("data.validation_fraction", 0.0, "training.early_stopping.monitor is 'validation_loss', but data.validation_frac"),
]


@pytest.mark.parametrize(("key", "value", "message"), LATER)
def test_mistakes_that_show_when_building(table, key, value, message):
    table["training"]["early_stopping"] = {}
    parsed = config.parse(changed(table, key, value))
    with pytest.raises(ConfigError) as caught:
        config.build(parsed)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_rate_is_given_once(table):
    schedule = {"name": "cosine_annealing", "init_value": 0.1}
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate or optimizer.schedule.init_value, not both"):
        config.parse(changed(changed(table, "optimizer.schedule", schedule), "optimizer.learning_rate", 0.1))
    schedule = {"name": "constant", "value": 0.1}
    both = changed(changed(table, "optimizer.schedule", schedule), "optimizer.learning_rate", 0.1)
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate or the values of optimizer.schedule, not both"):
        config.build(config.parse(both))


def test_classes_are_for_classifications(table):
    table["data"] = {"source": "diabetes"}
    with pytest.raises(ConfigError, match="class_weight is for classes; the task of diabetes is regression"):
        config.build(config.parse(changed(table, "training.class_weight", "balanced")))


def test_pictures_must_be_flattened(table, tmp_path):
    np.savez(tmp_path / "images.npz", x=np.zeros((6, 2, 2)), y=np.arange(6) % 2)
    table["data"] = {"source": str(tmp_path / "images.npz"), "flatten": False}
    with pytest.raises(ConfigError, match=r"data.flatten must be true for an mlp; the examples have \(2, 2\)"):
        config.build(config.parse(table))


# --- files ------------------------------------------------------------------------------------------------------------


def test_load_with_overrides(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('[data]\nsource = "digits"\n[training]\nepochs = 7\n')
    overrides = (
        "training.epochs=5", "model.hidden=[32, 16]", "optimizer.name = Adam", "optimizer.schedule.name=cosine",
        "data.source=./a=b.csv", "data.standardize=true", 'model.batch_norm="after"', "optimizer.learning_rate=1e-3",
    )  # fmt: skip
    read = config.load(path, overrides)
    assert (read.training.epochs, read.model.hidden, read.model.batch_norm) == (5, [32, 16], "after")
    assert (read.data.source, read.data.standardize) == ("./a=b.csv", True)
    assert (read.optimizer.name, read.optimizer.learning_rate) == ("adam", 1e-3)
    assert read.optimizer.schedule.name == "cosine_annealing"
    assert config.load(path).training.epochs == 7


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (None, (), "no such file"),
        ("[data", (), "not valid TOML: "),
        (b"\xff\xfe", (), "not valid TOML: "),
        ('[data]\nsource="digits"', ("training.epochs",), "--set training.epochs: write section.key=value"),
        ('[data]\nsource="digits"', ("=3",), "--set =3: write section.key=value"),
        ('[data]\nsource="digits"', ("data.source.x=3",), "--set data.source.x=3: source is a value, not a section"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, text, overrides, message):
    path = tmp_path / "a.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        config.load(path, overrides)
    assert message in str(caught.value)


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory"):
        config.load(tmp_path)


@pytest.mark.parametrize("name", ["digits_mlp", "breast_cancer", "diabetes", "fashion_mnist"])
def test_bundled_configs_load_and_come_back_equal(name, tmp_path):
    read = config.load(CONFIGS / f"{name}.toml")
    (tmp_path / "a.toml").write_text(read.to_toml())
    assert config.load(tmp_path / "a.toml") == read


def test_to_toml_keeps_odd_values(table, tmp_path):
    table["data"]["target"] = 'quote " back \\ tab \t line \n del \x7f ünï 🙂'
    table["training"]["class_weight"] = {"a b": 1.0, "ü": 2, "plain": 1e-20}
    table["loss"] = {"name": "huber", "delta": 1e22}
    table["optimizer"] = {
        "b1": 0.5,
        "bias_correction": False,
        "clip_norm": 3,
        "schedule": {"name": "constant", "value": 1},
    }
    table["training"]["metrics"] = []
    read = config.parse(table)
    (tmp_path / "a.toml").write_text(read.to_toml(), encoding="utf-8")
    again = config.load(tmp_path / "a.toml")
    assert again == read
    assert again.data.target == table["data"]["target"]
    assert again.optimizer.options == {"b1": 0.5, "bias_correction": False}


# --- building ---------------------------------------------------------------------------------------------------------


def test_build_decides_what_is_left_open(table, tmp_path):
    table = changed(changed(table, "optimizer.schedule.name", "cosine"), "optimizer.learning_rate", 0.1)
    made = config.build(config.parse(table))
    resolved = made.config
    assert (resolved.loss.name, resolved.training.metrics) == ("sparse_softmax_cross_entropy", ["accuracy"])
    assert resolved.optimizer.learning_rate is None
    # 48 examples, 10 for the test, a quarter of 38 for validation: 28 in 4 batches, 3 times.
    assert resolved.optimizer.schedule.options == {"init_value": 0.1, "decay_steps": 12}
    assert [len(part) for part in (made.train, made.validation, made.test)] == [28, 10, 10]
    assert Path(resolved.data.source).is_absolute()
    (tmp_path / "a.toml").write_text(resolved.to_toml())
    assert config.build(config.load(tmp_path / "a.toml")).config == resolved


def test_parts_are_disjoint_whole_and_the_seeds(table):
    def parts(seed):
        made = config.build(config.parse(changed(table, "data.seed", seed)))
        return [frozenset(map(tuple, part.inputs.tolist())) for part in (made.train, made.validation, made.test)]

    one = parts(1)
    assert len(frozenset.union(*one)) == sum(map(len, one)) == 48
    assert parts(1) == one
    assert parts(2) != one


def test_standardizing_uses_the_training_part_alone(table):
    made = config.build(config.parse(changed(table, "data.standardize", True)))
    plain = config.build(config.parse(table))
    np.testing.assert_allclose(made.train.inputs.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(made.train.inputs.std(0), 1, rtol=1e-5)
    scale = made.preprocess["standardizer"]
    expected = (plain.test.inputs - np.array(scale["mean"])) / np.array(scale["std"])
    np.testing.assert_allclose(made.test.inputs, expected, rtol=1e-5, atol=1e-6)
    assert plain.preprocess["standardizer"] is None


def test_an_official_test_part_is_kept(table, tmp_path):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(30, 2, 2)), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:6] + 1, y_test=y[:6])
    table["data"] = {"source": str(tmp_path / "a.npz"), "test_fraction": 0.5, "validation_fraction": 0}
    made = config.build(config.parse(table))
    assert (len(made.train), made.validation, len(made.test)) == (30, None, 6)
    np.testing.assert_allclose(made.test.inputs, (x[:6] + 1).reshape(6, 4), rtol=1e-6)


@pytest.mark.parametrize(
    ("source", "loss", "width"),
    [
        ("breast_cancer", None, 1),
        ("breast_cancer", "sparse_softmax_cross_entropy", 2),
        ("diabetes", None, 1),
        ("iris", None, 3),
    ],
)
def test_output_widths(source, loss, width):
    made = config.build(config.parse({"data": {"source": source}} | ({"loss": {"name": loss}} if loss else {})))
    shapes = jax.eval_shape(lambda k: made.model.init(k, made.train.inputs.shape[1:])[0], jax.random.key(0))
    assert shapes["dense_3"]["kernel"].shape == (64, width)


def test_class_weights(table):
    lines = Path(table["data"]["source"]).read_text().splitlines()
    Path(table["data"]["source"]).write_text("\n".join([*lines, *["1.0,a,1.0"] * 24]))
    balanced = config.build(config.parse(changed(table, "training.class_weight", "balanced")))
    counts = np.bincount(balanced.train.targets)
    np.testing.assert_allclose(list(balanced.class_weight.values()), counts.sum() / (3 * counts))
    named = config.build(config.parse(changed(table, "training.class_weight", {"c": 4})))
    assert named.class_weight == {2: 4.0}


def test_the_pieces_are_what_the_config_says(table):
    table |= {
        "loss": {"name": "sparse_softmax_cross_entropy"},
        "optimizer": {"name": "momentum", "learning_rate": 0.1, "momentum": 0.5, "clip_norm": 0.25},
        "penalty": {"name": "elastic_net", "strength": 2.0, "alpha": 0.5, "mask": "*kernel"},
    }
    table["training"]["early_stopping"] = {"patience": 3, "mode": "max", "monitor": "validation_accuracy"}
    made = config.build(config.parse(table))
    params = {"kernel": np.array([3.0, -4.0], np.float32), "bias": np.ones(2, np.float32)}
    assert float(made.penalty(params)) == pytest.approx(2 * (0.5 * 25 + 0.5 * 7))
    state = made.optimizer.init(params)
    updates, _ = made.optimizer.update({"kernel": params["kernel"], "bias": 0 * params["bias"]}, state, params)
    np.testing.assert_allclose(updates["kernel"], -0.1 * 0.25 * params["kernel"] / 5, rtol=1e-6)
    assert made.observers == (
        jd.observers.early_stopping(
            patience=3, mode="max", monitor="validation_accuracy", min_delta=0.0, restore_best=True
        ),
    )
    again = config.build(config.parse(table))
    assert again.model is made.model  # so that a second run of it compiles nothing


# --- running ----------------------------------------------------------------------------------------------------------


class Stop:
    """Ends the run after an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_segment(self, run):
        return run.epoch >= self.epoch


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run: its folder, the table, and the Run."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(5)
    np.savez(folder / "data.npz", x=random.normal(size=(40, 3)), y=np.arange(40) % 2)
    table = {
        "data": {"source": str(folder / "data.npz"), "standardize": True},
        "model": {"hidden": [4], "dropout": 0.25},
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "training": {"epochs": 6, "batch_size": 8, "segment_epochs": 1},
        "output": {"tensorboard": False, "curves": False},
    }
    return folder / "run", table, config.run(config.parse(table), folder / "run")


def test_a_run_folder(trained):
    folder, _, run = trained
    names = {"checkpoints", "config.toml", "metrics.csv", "preprocess.json", "result.json"}
    assert {path.name for path in folder.iterdir()} == names
    result = config.read_result(folder)
    assert (result["result"], result["epochs"], result["message"]) == ("done", 6, run.message)
    assert result["best_epoch"] == run.best.epoch
    assert set(result["test"]) == {"loss", "accuracy"}
    assert result["data"] | {"source": 0, "fingerprint": 0} == {
        "source": 0, "fingerprint": 0, "train": 29, "validation": 3, "test": 8,
    }  # fmt: skip
    assert set(result["seconds"]) == {"compile", "training", "total"}
    assert result["versions"]["jax"] == jax.__version__
    assert result["seconds"]["training"] == pytest.approx(run.history["seconds"].sum())


def test_an_interrupted_run_goes_on_to_the_same_parameters(trained, tmp_path):
    _, table, whole = trained
    first = config.run(config.parse(table), tmp_path / "run", callbacks=[Stop(2)])
    assert (first.epoch, first.result) == (2, "stopped")
    # A kill leaves no result, and rows that the checkpoint does not know.
    (tmp_path / "run" / "result.json").unlink()
    csv = tmp_path / "run" / "metrics.csv"
    csv.write_text(csv.read_text() + "3,half")
    second = config.run(config.parse(table), tmp_path / "run", resume=True)
    assert (second.epoch, second.result) == (6, "done")
    for one, other in zip(*map(jax.tree.leaves, (whole.params, second.params)), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(second.history["loss"], whole.history["loss"])
    assert [line.split(",")[0] for line in csv.read_text().split()] == ["epoch", *"123456"]
    # Further, once it is finished.
    more = config.run(config.parse(changed(table, "training.epochs", 7)), tmp_path / "run", resume=True)
    assert more.epoch == 7
    assert config.load(tmp_path / "run" / "config.toml").training.epochs == 7


def test_resume_where_there_is_nothing_yet(trained, tmp_path):
    folder, table, whole = trained
    (tmp_path / "run").mkdir()
    for name in ("config.toml", "preprocess.json"):  # killed before the first checkpoint
        (tmp_path / "run" / name).write_text((folder / name).read_text())
    run = config.run(config.parse(table), tmp_path / "run", resume=True)
    np.testing.assert_array_equal(run.history["loss"], whole.history["loss"])


def snapshot(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.hidden", [5], r"model.hidden was \[4\] and is \[5\] now"),
        ("training.batch_size", 4, "training.batch_size was 8 and is 4 now"),
        ("optimizer.learning_rate", 0.02, "optimizer.learning_rate was 0.01 and is 0.02 now"),
        ("optimizer.b1", 0.5, "optimizer.b1 was None and is 0.5 now"),
    ],
)
def test_resume_with_another_config(trained, key, value, message):
    folder, table, _ = trained
    before = snapshot(folder)
    with pytest.raises(ConfigError, match=f"cannot resume .*: {message}"):
        config.run(config.parse(changed(table, key, value)), folder, resume=True)
    assert snapshot(folder) == before


def test_folders_that_are_taken(trained, tmp_path):
    folder, table, _ = trained
    before = snapshot(folder)
    with pytest.raises(ConfigError, match="holds another run; go on with it by --resume, or choose another folder"):
        config.run(config.parse(table), folder)
    assert snapshot(folder) == before
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ConfigError, match="is not empty and holds no run; choose another folder"):
            config.run(config.parse(table), tmp_path, resume=resume)
    with pytest.raises(ConfigError, match="is a file; the output must be a folder"):
        config.run(config.parse(table), tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_fit_refuses_is_a_config_error_and_writes_nothing(trained, tmp_path):
    _, table, _ = trained
    with pytest.raises(ConfigError, match=r"training.accumulation must divide batch_size; got 3 and 8"):
        config.run(config.parse(changed(table, "training.accumulation", 3)), tmp_path / "run")
    masked = config.parse(changed(table, "penalty", {"name": "l2", "strength": 0.1, "mask": "kernl"}))
    with pytest.raises(ConfigError, match=r"mask 'kernl' matches no leaf"):
        config.run(masked, tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_errors_while_training_are_not_the_configs(trained, tmp_path):
    class Broken:
        def on_segment(self, run):
            raise ValueError("broken callback")

    _, table, _ = trained
    with pytest.raises(ValueError, match="broken callback") as caught:
        config.run(config.parse(table), tmp_path / "run", callbacks=[Broken()])
    assert not isinstance(caught.value, ConfigError)


def test_numbers_that_are_not_finite_are_null_in_json(trained, tmp_path):
    _, table, _ = trained
    table = changed(table, "optimizer", {"name": "gradient_descent", "learning_rate": 1e38})
    run = config.run(config.parse(table), tmp_path / "run")
    assert run.result == "diverged"
    result = json.loads((tmp_path / "run" / "result.json").read_text(), parse_constant=pytest.fail)
    assert result["result"] == "diverged"
    assert result["message"].startswith("diverged in epoch 1")


def test_a_compilation_cache(trained, tmp_path):
    _, table, _ = trained
    names = (
        "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )  # fmt: skip
    before = {name: getattr(jax.config, name) for name in names}
    try:
        config.run(config.parse(changed(table, "training.compilation_cache", str(tmp_path / "c"))), tmp_path / "run")
        assert jax.config.jax_compilation_cache_dir == os.path.abspath(tmp_path / "c")
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


# --- opening again ----------------------------------------------------------------------------------------------------


def test_open_evaluate_predict(trained):
    folder, table, run = trained
    opened = config.open_run(folder)
    scores = config.evaluate(opened)
    assert scores == pytest.approx(config.read_result(folder)["test"], rel=1e-6)
    archive = np.load(table["data"]["source"])
    inputs = config.read_inputs(opened.preprocess, table["data"]["source"])
    np.testing.assert_allclose(inputs, archive["x"], rtol=1e-6)
    columns = config.predict(opened, inputs)
    assert list(columns) == ["prediction", "probability_0", "probability_1"]
    scale = opened.preprocess["standardizer"]
    standard = ((archive["x"] - scale["mean"]) / scale["std"]).astype(np.float32)
    expected = np.asarray(run.predict(standard, output="probabilities"))[:, 0]
    np.testing.assert_allclose(columns["probability_1"], expected, rtol=1e-5)
    np.testing.assert_allclose(np.add(columns["probability_0"], columns["probability_1"]), 1, rtol=1e-6)
    assert columns["prediction"] == [str(int(p >= 0.5)) for p in expected]
    assert config.evaluate(opened, source=table["data"]["source"])["accuracy"] == pytest.approx(
        np.mean(archive["y"] == (expected >= 0.5)), abs=1e-6
    )


def test_data_that_changed_since(trained, tmp_path):
    folder, table, _ = trained
    opened = config.open_run(folder)
    archive = dict(np.load(table["data"]["source"]))
    np.savez(tmp_path / "b.npz", x=archive["x"] + 1, y=archive["y"])
    moved = opened._replace(config=opened.config.changed("data", source=str(tmp_path / "b.npz")))
    with pytest.raises(ConfigError, match="is not what it was when the run began; give --data"):
        config.evaluate(moved)
    without = opened._replace(config=opened.config.changed("data", test_fraction=0.0))
    with pytest.raises(ConfigError, match="kept no test part"):
        config.evaluate(without)


def test_other_data_must_have_the_runs_classes_and_shape(trained, tmp_path):
    opened = config.open_run(trained[0])
    np.savez(tmp_path / "labels.npz", x=np.zeros((4, 3)), y=np.array([0, 1, 7, 0]))
    with pytest.raises(ConfigError, match=r"--data: .*a binary task has two classes; got 3"):
        config.evaluate(opened, source=str(tmp_path / "labels.npz"))
    np.savez(tmp_path / "seven.npz", x=np.zeros((4, 3)), y=np.array([0, 7, 7, 0]))
    with pytest.raises(ConfigError, match=r"--data: .*seven.npz holds the class '7'; the run knows 0, 1"):
        config.evaluate(opened, source=str(tmp_path / "seven.npz"))
    with pytest.raises(ConfigError, match=r"--data: examples of digits have shape \(64,\), not \(3,\)"):
        config.evaluate(opened, source="digits")
    with pytest.raises(ConfigError, match=r"--data: nowhere.npz: no such file"):
        config.evaluate(opened, source="nowhere.npz")


def test_labels_are_matched_by_name(trained, tmp_path):
    """A part that holds one class only is numbered from 0 on its own."""
    opened = config.open_run(trained[0])
    np.savez(tmp_path / "ones.npz", x=np.zeros((4, 3)), y=np.ones(4, int))
    predicted = config.predict(opened, np.zeros((1, 3), np.float32))["prediction"]
    assert config.evaluate(opened, source=str(tmp_path / "ones.npz"))["accuracy"] == float(predicted == ["1"])


def test_inputs_that_do_not_fit(tmp_path):
    known = {"features": ["a", "b"], "input_shape": [2]}

    def written(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    good = config.read_inputs(known, written("good.csv", "b,other,a\n2,x,1\n4,y,3\n"))
    np.testing.assert_array_equal(good, [[1, 2], [3, 4]])
    np.savez(tmp_path / "two.npz", u=np.zeros((2, 2)), v=np.zeros((2, 2)))
    np.savez(tmp_path / "text.npz", x=np.array(["a"]))
    np.savez(tmp_path / "wide.npz", x=np.zeros((2, 3)))
    np.savez(tmp_path / "bytes.npz", only=np.array([[0, 255]], np.uint8))
    np.testing.assert_array_equal(config.read_inputs(known, tmp_path / "bytes.npz"), [[0, 1]])
    for path, message in [
        (tmp_path / "no.csv", "input: .*no.csv: no such file"),
        (tmp_path / "no.npz", "input: .*no.npz: no such file"),
        (tmp_path / "a.txt", r"input must be a .csv or an .npz; got '.*a.txt'"),
        (written("less.csv", "a\n1\n"), "input: .*no column 'b'; columns: a"),
        (written("text.csv", "a,b\n1,x\n"), "input: .*line 2, column 'b': 'x' is not a number"),
        (tmp_path / "two.npz", "input: .* holds u, v; call the inputs 'inputs'"),
        (tmp_path / "text.npz", "input: .*: 'x' must hold numbers; got <U1"),
        (tmp_path / "wide.npz", r"input: .* must hold examples of shape \(2,\); got \(2, 3\) in all"),
    ]:
        with pytest.raises(ConfigError, match=message):
            config.read_inputs(known, path)


def test_folders_without_a_run(tmp_path, trained):
    with pytest.raises(ConfigError, match="holds no run"):
        config.open_run(tmp_path)
    for name in ("config.toml", "preprocess.json"):
        (tmp_path / name).write_bytes((trained[0] / name).read_bytes())
    with pytest.raises(jd.checkpoint.CheckpointError, match="checkpoints: no such file"):
        config.open_run(tmp_path)
    (tmp_path / "preprocess.json").write_text("{")
    with pytest.raises(ConfigError, match=r"preprocess.json: "):
        config.open_run(tmp_path)
    with pytest.raises(ConfigError, match=r"result.json: "):
        config.read_result(tmp_path)
