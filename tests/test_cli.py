"""The command line: exit status, one line for each mistake, nothing written by it, and a run from train to predict."""

import csv
import gzip
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import cli

CONFIG = """
[data]
source = "{source}"
target = "kind"
[model]
hidden = [4]
[training]
epochs = 4
batch_size = 16
"""


def call(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def table(path, rows=30, label=lambda i: "abc"[i % 3], header="width,kind,height"):
    random = np.random.default_rng(0)
    lines = [f"{i % 3 + random.normal():.4f},{label(i)},{random.normal():.4f}" for i in range(rows)]
    path.write_text("\n".join([header, *lines]))
    return path


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder to work in, with data and a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(CONFIG.format(source=table(tmp_path / "data.csv").name))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What ``jaxdict train`` left of a tiny run: the folder around it, and the command's result."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.toml").write_text(CONFIG.format(source=table(folder / "data.csv")))
    return folder, call("train", folder / "small.toml", "--out", folder / "run")


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- mistakes ---------------------------------------------------------------------------------------------------------


def idx(folder, *, images=b"", labels=b""):
    """A folder of IDX files with 12 pictures of 2 × 2; or the bytes that are given."""
    folder.mkdir()
    pixels = struct.pack(">IIII", 0x803, 12, 2, 2) + bytes(range(48))
    kinds = struct.pack(">II", 0x801, 12) + bytes([0, 1, 2] * 4)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(images or gzip.compress(pixels))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(labels or gzip.compress(kinds))
    return folder


def truncated(home):
    return idx(home / "idx", images=gzip.compress(struct.pack(">IIII", 0x803, 12, 2, 2) + bytes(40)))


def corrupt(home):
    whole = gzip.compress(struct.pack(">II", 0x801, 12) + bytes([0, 1, 2] * 4))
    return idx(home / "idx", labels=whole[:-6])


def archive(home, **arrays):
    np.savez(home / "data.npz", **arrays)
    return "data.npz"


DATA = {
    "a missing file": (lambda home: "nowhere.csv", "data: nowhere.csv: no such file"),
    "a missing folder": (lambda home: "some/where", "data: some/where: no such file or folder"),
    "an unknown name": (
        lambda home: "digit",
        "no data set is called 'digit', and there is no such folder; did you mean",
    ),
    "an empty csv": (lambda home: (home / "e.csv").write_text("") or "e.csv", "data: e.csv: empty"),
    "a header alone": (
        lambda home: (home / "e.csv").write_text("a,kind\n") and "e.csv",
        "data: e.csv: a header without",
    ),
    "no target column": (
        lambda home: table(home / "e.csv", header="width,kid,height").name,
        "data: e.csv: no column 'kind'; did you mean 'kid'? columns: width, kid, height",
    ),
    "NaN in a csv": (
        lambda home: (home / "e.csv").write_text("x,kind\n1,a\nnan,b\n") and "e.csv",
        "data: e.csv: line 3, column 'x': 'nan' is not a finite float32",
    ),
    "an empty archive": (lambda home: archive(home, x=np.zeros((0, 2)), kind=np.zeros(0, int)), "data: data"),
    "lengths that differ": (
        lambda home: archive(home, x=np.zeros((5, 2)), kind=np.arange(4) % 2),
        "data: data: 5 inputs and 4 targets; they must be equally many",
    ),
    "NaN in an archive": (
        lambda home: archive(home, x=np.array([[0.0], [np.nan], [1.0]]), kind=np.array([0, 1, 0])),
        "data: data inputs: nan in row 1, column 0; float32 holds finite numbers only",
    ),
    "no archive": (lambda home: (home / "e.npz").write_text("x") and "e.npz", "data: e.npz: not a readable .npz"),
    "a truncated idx": (truncated, "truncated, 64 bytes expected for shape (12, 2, 2), 56 found; download it again"),
    "a corrupt gzip": (corrupt, "train-labels-idx1-ubyte.gz: damaged gzip"),
}

OPTIONS = {
    "an unknown optimizer": (
        "optimizer.name=adma",
        "optimizer.name: no optimizer is called 'adma'; did you mean 'adam'",
    ),
    "an unknown key": ("training.epoch=3", "training.epoch is no key of a config; did you mean 'training.epochs'?"),
    "a wrong type": ("training.epochs=many", "training.epochs must be a whole number; got 'many'"),
    "a negative rate": ("optimizer.learning_rate=-0.1", "optimizer.learning_rate must be > 0; got -0.1"),
    "zero epochs": ("training.epochs=0", "training.epochs must be >= 1; got 0"),
    "labels out of range": (
        "training.class_weight={d = 2.0}",
        "training.class_weight.d: no class of data; known: a, b",
    ),
    "too many classes": ("data.task=binary", "data: data: a binary task has two classes; got 3: a, b, c"),
    "an option out of range": ("optimizer.b1=1.5", "optimizer.b1 must be >= 0 and < 1; got 1.5"),
    "what fit refuses": ("training.accumulation=3", "training.accumulation must divide batch_size; got 3 and 16"),
    "an unknown column to monitor": (
        'training.early_stopping={monitor = "validation_los"}',
        "an observer monitors 'validation_los'; did you mean 'validation_loss'",
    ),
}


def assert_refused(result, message, home, before):
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("\n")
    assert message in result.stderr
    assert listing(home) == before


@pytest.mark.parametrize("case", DATA)
def test_data_that_cannot_be_used(home, case):
    make, message = DATA[case]
    source = make(home)
    before = listing(home)
    extra = ["--set", "data.target=kind"]
    if isinstance(source, Path) or case in ("a missing folder", "an unknown name"):
        text = (home / "small.toml").read_text().replace('target = "kind"\n', "")
        (home / "small.toml").write_text(text)
        extra = []
    result = call("train", "small.toml", "--set", f"data.source={source}", *extra)
    assert_refused(result, message, home, before)


@pytest.mark.parametrize("case", OPTIONS)
def test_configs_that_cannot_be_used(home, case):
    option, message = OPTIONS[case]
    before = listing(home)
    assert_refused(call("train", "small.toml", "--set", option), message, home, before)


def test_commands_that_cannot_be_used(home):
    for arguments, message in [
        (["train", "nowhere.toml"], "nowhere.toml: no such file"),
        (["train"], "Missing argument 'CONFIG'"),
        (["trian", "small.toml"], "No such command 'trian'"),
        (["train", "small.toml", "--epochs", "3"], "No such option"),
        (["train", "small.toml", "--set", "training.epochs"], "--set training.epochs: write section.key=value"),
        (["evaluate", "nowhere"], "nowhere holds no run"),
        (["predict", "nowhere", "data.csv"], "nowhere holds no run"),
        (["show", "geluu"], "no entry is called 'geluu'; did you mean 'gelu'"),
        (["show", "relu", "--kind", "losses"], "did you mean 'loss'?"),
        (["list", "--kind", "losses"], "did you mean 'loss'?"),
        (["search", "qqqqqq"], "nothing in the dictionary is like 'qqqqqq'"),
    ]:
        before = listing(home)
        assert_refused(call(*arguments), message, home, before)


def test_a_folder_with_another_run(trained, home):
    folder, _ = trained
    before = listing(folder)
    result = call("train", "small.toml", "--out", folder / "run")
    assert_refused(result, "holds another run; go on with it by --resume, or choose another folder", folder, before)
    assert not result.stdout
    result = call("train", "small.toml", "--out", folder / "run", "--resume")
    assert_refused(result, "data.source was ", folder, before)
    assert listing(home) == ["data.csv", "small.toml"]


def test_help_without_a_command():
    result = call()
    assert result.exit_code == 2
    assert "evaluate" in result.stdout
    assert call("--help").exit_code == 0


# --- a run ------------------------------------------------------------------------------------------------------------


def test_train(trained):
    folder, result = trained
    assert (result.exit_code, result.stderr) == (0, "")
    assert "data: 21 training, 3 validation, 6 test examples" in result.stdout
    assert "27 parameters, 108 bytes, 51 FLOPs an example; input (2,), output (3,)" in result.stdout
    assert "epoch 4/4  loss" in result.stdout
    assert "done after epoch 4" in result.stdout
    accuracy = jd.config.read_result(folder / "run")["test"]["accuracy"]
    assert f"test accuracy: {accuracy:.6g}\n" in result.stdout
    assert str(folder / "run" / "result.json") in result.stdout
    assert str(folder / "run" / "curves.png") in result.stdout
    names = {"checkpoints", "config.toml", "curves.png", "metrics.csv", "preprocess.json", "result.json", "tensorboard"}
    assert {path.name for path in (folder / "run").iterdir()} == names
    assert "\x1b" not in result.stdout


def test_evaluate(trained):
    folder, result = trained
    scores = [line for line in result.stdout.splitlines() if line.startswith("test ")]
    again = call("evaluate", folder / "run")
    assert again.exit_code == 0
    assert again.stdout.splitlines()[-2:] == scores
    other = table(folder / "other.csv", rows=9, header="width,sort,height")
    result = call("evaluate", folder / "run", "--data", other, "--target", "sort")
    assert result.exit_code == 0
    assert result.stdout.startswith("other.csv loss: ")
    before = listing(folder)
    other.write_text("width,kind,height\n1,a,2\n1,d,2\n1,e,2\n")
    result = call("evaluate", folder / "run", "--data", other)
    assert_refused(result, "holds the class 'd'; the run knows a, b, c", folder, before)


def test_predict(trained):
    folder, _ = trained
    inputs = folder / "inputs.csv"
    inputs.write_text("height,name,width\n0.5,x,-1\n-0.5,y,3\n0,z,1\n")
    result = call("predict", folder / "run", inputs)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert list(rows[0]) == ["prediction", "probability_a", "probability_b", "probability_c"]
    run = jd.load_run(folder / "run" / "checkpoints")
    x = np.array([[-1, 0.5], [3, -0.5], [1, 0]], np.float32)
    expected = np.asarray(run.predict(x, output="probabilities"))
    found = [[float(row[f"probability_{c}"]) for c in "abc"] for row in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert [row["prediction"] for row in rows] == ["abc"[i] for i in expected.argmax(-1)]
    written = call("predict", folder / "run", inputs, "--out", folder / "deep" / "p.csv")
    assert written.stdout == f"3 predictions in {folder / 'deep' / 'p.csv'}\n"
    assert (folder / "deep" / "p.csv").read_text() == result.stdout
    np.savez(folder / "inputs.npz", x=x)
    assert call("predict", folder / "run", folder / "inputs.npz").stdout == result.stdout
    before = listing(folder)
    inputs.write_text("height\n1\n")
    result = call("predict", folder / "run", inputs, "--out", folder / "q.csv")
    assert_refused(result, "no column 'width'; columns: height", folder, before)


def test_default_folders(home):
    assert call("train", "small.toml").exit_code == 0
    assert call("train", "small.toml").exit_code == 0
    assert sorted(os.listdir("runs")) == ["small", "small-2"]
    # An unfinished one is not passed over in silence.
    (home / "runs" / "small-2" / "result.json").unlink()
    before = listing(home)
    result = call("train", "small.toml")
    assert_refused(result, "runs/small-2 holds another run; go on with it by --resume", home, before)
    result = call("train", "small.toml", "--resume")
    assert result.exit_code == 0
    assert "runs/small-2/result.json" in result.stdout
    assert (
        call("train", "small.toml", "--set", "output.folder=mine/here", "--set", "output.curves=false").exit_code == 0
    )
    assert {"metrics.csv", "result.json"} <= set(os.listdir("mine/here"))
    assert "curves.png" not in os.listdir("mine/here")


@pytest.mark.slow
def test_regression_values(home):
    table(home / "data.csv", label=lambda i: f"{i / 7:.3f}")
    assert call("train", "small.toml", "--out", "run", "--set", "training.epochs=1").exit_code == 0
    (home / "in.csv").write_text("width,height\n1,2\n")
    result = call("predict", "run", "in.csv")
    assert result.stdout.splitlines()[0] == "prediction"
    assert np.isfinite(float(result.stdout.splitlines()[1]))


@pytest.mark.slow
def test_images_from_a_folder(home):
    idx(home / "idx")
    (home / "small.toml").write_text(CONFIG.format(source="idx").replace('target = "kind"\n', ""))
    result = call("train", "small.toml", "--out", "run", "--set", "training.epochs=1")
    assert result.exit_code == 0, result.output
    assert "input (4,), output (3,)" in result.stdout


def test_a_run_that_diverges(home):
    rate = ["--set", "optimizer.name=gradient_descent", "--set", "optimizer.learning_rate=1e38"]
    result = call("train", "small.toml", "--out", "run", *rate)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: diverged in epoch ")
    assert result.stderr.count("\n") == 1
    assert jd.config.read_result("run")["result"] == "diverged"


def test_ctrl_c_leaves_a_usable_run(home, monkeypatch):
    class Press:
        every = 1

        def on_segment(self, run):
            if run.epoch == 2:
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(jd.callbacks, "progress", Press)
        result = call("train", "small.toml", "--out", "run")
    assert result.exit_code == 130
    assert result.stderr == (
        "error: interrupted after epoch 2; go on with: jaxdict train run/config.toml --out run --resume\n"
    )
    assert call("evaluate", "run").exit_code == 0
    result = call("train", "run/config.toml", "--out", "run", "--resume")
    assert result.exit_code == 0
    assert "done after epoch 4" in result.stdout
    lines = (home / "run" / "metrics.csv").read_text().split()
    assert [line.split(",")[0] for line in lines] == ["epoch", *"1234"]
    whole = call("train", "small.toml", "--out", "whole")
    assert whole.exit_code == 0
    for name in ("run", "whole"):
        (home / f"{name}.csv").write_text(call("predict", name, "data.csv").stdout)
    assert (home / "run.csv").read_text() == (home / "whole.csv").read_text()


def test_ctrl_c_before_training(home, monkeypatch):
    def build(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(jd.config, "build", build)
    result = call("train", "small.toml")
    assert (result.exit_code, result.stderr) == (130, "error: interrupted\n")
    assert listing(home) == ["data.csv", "small.toml"]


def test_what_is_a_fault_of_ours_keeps_its_traceback(home, monkeypatch):
    def build(config):
        raise KeyError("ours")

    monkeypatch.setattr(jd.config, "build", build)
    assert isinstance(call("train", "small.toml").exception, KeyError)


# --- looking things up ------------------------------------------------------------------------------------------------


def test_list():
    result = call("list", "--kind", "loss")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(jd.entries(kind="loss"))
    assert any(line.split()[:2] == ["loss", "huber"] for line in lines)
    assert len(call("list").stdout.splitlines()) == len(jd.entries())


def test_show():
    result = call("show", "leaky", "relu")
    assert result.exit_code == 0
    entry = jd.lookup("leaky relu")
    assert result.stdout.startswith(f"activation leaky_relu\n{entry.summary}\n\nequation ")
    for text in ("negative_slope=", *entry.sources, *entry.conventions, *entry.errata, entry.location, "at 0: value 0"):
        assert text in result.stdout
    assert "\\" not in result.stdout
    latex = call("show", "leaky relu", "--latex").stdout
    assert entry.equation in latex
    assert entry.derivative_equation in latex
    assert "penalty l1" in call("show", "l1", "--kind", "penalty").stdout


def test_search():
    result = call("search", "heavy", "ball")
    assert result.exit_code == 0
    assert result.stdout.split()[:2] == ["optimizer", "momentum"]


def test_info():
    result = call("info")
    assert result.exit_code == 0
    assert f"jaxdict       {jd.__version__}\n" in result.stdout
    assert "devices " in result.stdout


def test_cards_and_tables_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    cli._print_entries(jd.entries(kind="penalty"))
    entry = jd.lookup("relu")
    cli._print_card("activation relu", entry.summary, cli._fields(entry, latex=False))
    text = capsys.readouterr().out
    assert "elastic_net" in text
    assert "max(0, x)" in text
    assert entry.summary.split()[0] in text


def test_starting_is_quick():
    """Help needs no jax, the dictionary nothing that is slow; in one process of its own."""
    code = """
import runpy, sys
def run(*arguments):
    sys.argv = ["jaxdict", *arguments]
    try:
        runpy.run_module("jaxdict", run_name="__main__")
    except SystemExit as end:
        assert end.code == 0, end.code
run("--help")
assert not {"jax", "optax", "jaxdict.config"} & set(sys.modules), "help"
run("list", "--kind", "loss")
slow = {"sklearn", "matplotlib", "tensorboardX", "jaxdict.config", "safetensors"} & set(sys.modules)
assert not slow, slow
"""
    folder = Path(jd.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "huber" in done.stdout
