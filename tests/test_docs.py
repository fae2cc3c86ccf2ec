"""README and docs: what they show is what happens, and what they point at exists."""

import json
import operator
import re
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import jaxdict as jd
from jaxdict import cli
from test_examples import ROOT, numbers, run
from test_house import LEVELS

README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(language, path=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), flags=re.M | re.S)


# ------------------------------------------------------------------------------------------- what is generated


def test_the_dictionary_page_is_up_to_date(tmp_path):
    page = tmp_path / "dictionary.md"
    subprocess.run([sys.executable, ROOT / "docs" / "build.py", page], cwd=ROOT, capture_output=True, check=True)
    committed = (ROOT / "docs" / "dictionary.md").read_text()
    assert page.read_text() == committed, "docs/dictionary.md is behind the entries: run `make docs`"


def test_the_dictionary_page_has_every_entry_and_no_macro_that_github_refuses():
    text = (ROOT / "docs" / "dictionary.md").read_text()
    for entry in jd.entries():
        assert f"### {entry.name.replace('_', chr(92) + '_')}\n" in text
    assert r"\operatorname" not in text
    for block in blocks("math", ROOT / "docs" / "dictionary.md"):
        assert block.count("{") == block.count("}")
        assert block.count(r"\begin") == block.count(r"\end")


def test_the_picture_is_light():
    content = (ROOT / "docs" / "images" / "curves.png").read_bytes()
    assert struct.unpack(">I", content[16:20]) == (1200,)
    assert len(content) < 200_000


# -------------------------------------------------------------------------------------------------- the README

CLAIMS = """
import json
from jaxdict.train.segment import program
whole = fit(epochs=8)
equal = jax.tree.map(np.array_equal, longer.params, whole.params)
first = fit(optimizer=jd.optimizers.adam, hyperparameters={"learning_rate": 1e-3})
compiled = program(first.plan).segment._cache_size()
second = fit(optimizer=jd.optimizers.adam, hyperparameters={"learning_rate": 1e-2})
rate = lanes["hyperparameters"]["learning_rate"][3]
alone = fit(optimizer=jd.optimizers.adam, hyperparameters={"learning_rate": rate}, key=3, validation=test)
print(json.dumps({
    "lookup": [entry.name, jd.lookup("Gaussian error linear-unit").name],
    "resumed is whole": all(jax.tree.leaves(equal)),
    "programs": [first.plan == second.plan, program(second.plan).segment._cache_size() - compiled],
    "lane is alone": all(jax.tree.leaves(jax.tree.map(np.array_equal, runs[3].params, alone.params))),
    "rate matters": bool(first.history["loss"][-1] != second.history["loss"][-1]),
    "stopped by the callback": fit(epochs=50, callbacks=[lambda run: run.history.last["loss"] < 0.5]).result,
}))
"""


def shown(code, folder):
    """What ``code`` prints, and that it is what the README says."""
    script = folder / "readme.py"
    script.write_text("\n".join(code))
    out = run(script, folder)
    said = "".join(blocks("text"))
    score = r"test accuracy (\S+), loss (\S+)"
    assert numbers(score, out) == pytest.approx(numbers(score, said), abs=0.04)
    classes = r"classes \[[\d ]+\] labels \[[\d ]+\]"
    assert re.findall(classes, out) == re.findall(classes, said) != []
    assert "loaded predictions are the same: True" in out
    return out


def test_the_first_code_of_the_readme_runs(tmp_path):
    shown(blocks("python")[:1], tmp_path)


@pytest.mark.slow
def test_the_code_of_the_readme_runs_and_does_what_it_says(tmp_path):
    out = shown([*blocks("python"), CLAIMS], tmp_path)
    assert "the tanh form by default" in out
    assert json.loads(out.splitlines()[-1]) == {
        "lookup": ["gelu", "gelu"], "resumed is whole": True, "programs": [True, 0], "lane is alone": True,
        "rate matters": True, "stopped by the callback": "stopped",
    }  # fmt: skip
    assert (tmp_path / "runs" / "digits.csv").read_text().count("\n") == 1 + 4


def test_the_readme_shows_the_example():
    code = (ROOT / "examples" / "quickstart.py").read_text()
    assert blocks("python")[0] in code
    assert len(blocks("python")[0].splitlines()) <= 32


def test_what_the_terminal_shows():
    (block,) = blocks("console")
    prompt, *lines = block.splitlines()
    assert prompt == "$ jaxdict show gelu"
    printed = CliRunner().invoke(cli.app, ["show", "gelu"]).output.splitlines()
    assert [line for line in printed if line in lines] == [line for line in lines if line != "…"]


def commands():
    shell = [line for block in blocks("bash") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in shell]


def test_commands_exist():
    targets = set(re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {name for path in PAGES for name in re.findall(r"`make (\S+?)`", path.read_text())}
    assert named | {words[1] for words in commands() if words[0] == "make"} <= targets
    known = {c.name or getattr(c.callback, "__name__", "") for c in cli.app.registered_commands}
    used = {words[1] for words in commands() if words[0] == "jaxdict"}
    assert used <= known
    assert {"train", "evaluate", "predict"} <= used


def test_configs_and_settings_of_the_commands_are_right(monkeypatch):
    monkeypatch.chdir(ROOT)
    trained = [words for words in commands() if words[:2] == ["jaxdict", "train"]]
    assert any("--set" in words for words in trained)
    for words in trained:
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        config = jd.config.load(words[2], settings)
        for setting in settings:
            name, value = setting.split("=")
            assert operator.attrgetter(name)(config) == float(value)


def test_rooms_of_the_readme_exist():
    for row in re.findall(r"^\| (`jaxdict\..*?) \|", README.read_text(), flags=re.M):
        for name in re.findall(r"`(?:jaxdict\.)?(\w+)`", row):
            assert hasattr(jd, name), name


# ----------------------------------------------------------------------------------------------------- all pages


def anchors(path):
    """The anchors that GitHub gives the headings of a page."""
    seen = {}
    for heading in re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S), flags=re.M
    ):
        slug = re.sub(r"[^\w\- ]", "", heading.replace("\\_", "_").lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        yield f"{slug}-{count}" if count else slug


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_links_and_images_exist(path):
    prose = re.sub(r"^```.*?^```$|`[^`]*`", "", path.read_text(), flags=re.M | re.S)
    links = re.findall(r"!?\[(?:[^\]]*)\]\(([^)\s]+)\)", prose)
    assert links
    own = set(anchors(path))
    for link in links:
        if re.match(r"https://\w", link):
            continue
        file, _, anchor = link.partition("#")
        assert not file or (path.parent / file).exists(), link
        assert not anchor or anchor in (set(anchors(path.parent / file)) if file else own), link


@pytest.mark.parametrize("path", PAGES, ids=[path.name for path in PAGES])
def test_no_path_of_somebodys_machine(path):
    assert not re.findall(r"(?:^|[\s\"'`(=])(?:/\w+/\S*|~/\S*|[A-Z]:\\\S*|file:/\S*)", path.read_text(), flags=re.M)


def test_the_design_has_the_levels_of_the_house():
    text = (ROOT / "docs" / "design.md").read_text()
    rows = re.findall(r"^\| (\d) \| (.*?) \|", text, flags=re.M)
    assert {int(level): re.findall(r"`(\w+)`", names) for level, names in rows} == {
        level: names.split() for level, names in LEVELS.items()
    }, "docs/design.md has other levels than tests/test_house.py"


def test_pages_stay_short():
    assert len(README.read_text().splitlines()) < 230
    assert len((ROOT / "docs" / "design.md").read_text().splitlines()) <= 150
    assert all(Path(path).read_text().endswith("\n") for path in PAGES)
