"""The rules of the house, checked by reading the code: layering, argument order, docstrings, light imports."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import jaxdict

ROOT = Path(jaxdict.__file__).parent
LEVELS = {
    0: "_check _registry _expression _entry _derivative _draws _cache _files",
    1: "activations augment losses metrics distributions initializers penalties noise normalization optimizers "
    "schedules terms",
    2: "layers",
    3: "models backprop inspection units _foreign history data checkpoint",
    4: "train plots contact_sheet compat transfer",
    5: "intake run runner lanes callbacks",
    6: "dictionary tune ensemble",
    7: "estimators config cli race port _card __main__ _versions",
}
LEVEL = {name: level for level, names in LEVELS.items() for name in names.split()}


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            yield pytest.param(name, path, id=name)


def imported(path):
    """Every jaxdict module that a file imports, inside functions too."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in ROOT.rglob("*.py")}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in ast.walk(node):
                inner.skip = True
        if getattr(node, "skip", False):
            continue
        if isinstance(node, ast.Import):
            found = [a.name.removeprefix("jaxdict.") for a in node.names if a.name.startswith("jaxdict.")]
            yield from found
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxdict":
            base = (node.module or "").removeprefix("jaxdict").removeprefix(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".strip(".")
                if full in names:
                    yield full
                elif base:
                    yield base


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_a_module_imports_only_lower_levels(name, path):
    room = name.split(".")[0]
    assert room in LEVEL, f"give {room} a level"
    for other in {found.split(".")[0] for found in imported(path)} - {room}:
        assert LEVEL[other] <= LEVEL[room], f"{room} (level {LEVEL[room]}) imports {other} (level {LEVEL[other]})"


def test_rooms_do_not_import_each_other_in_a_circle():
    graph = {}
    for parameters in modules():
        name, path = parameters.values
        room = name.split(".")[0]
        graph.setdefault(room, set()).update({found.split(".")[0] for found in imported(path)} - {room})
    left = dict(graph)
    while free := [room for room, needs in left.items() if not needs & left.keys()]:
        for room in free:
            del left[room]
    assert not left


@pytest.mark.parametrize(("name", "path"), list(modules()))
def test_files_are_short(name, path):
    assert len(path.read_text().splitlines()) <= 700


def public_functions():
    for module in pkgutil.walk_packages([str(ROOT)], "jaxdict."):
        short = module.name.removeprefix("jaxdict.")
        if any(part.startswith("_") for part in short.split(".")) or short in ("cli",):
            continue
        loaded = importlib.import_module(module.name)
        for label, value in vars(loaded).items():
            if label.startswith("_") or not inspect.isfunction(value):
                continue
            if inspect.unwrap(value).__module__ == module.name:
                yield pytest.param(value, id=f"{short}.{label}")


FUNCTIONS = list(public_functions())
POSITIONAL_OPTIONS = {"negative_slope", "alpha", "beta"}  # the one shape parameter that may be positional


OURS = [p for p in FUNCTIONS if not p.id.startswith("compat.")]  # there the other framework's order of arguments holds


@pytest.mark.parametrize("function", OURS)
def test_key_comes_first_where_it_is_required(function):
    parameters = list(inspect.signature(function).parameters.values())
    for position, parameter in enumerate(parameters):
        if parameter.name == "key" and parameter.default is parameter.empty:
            assert position == 0 or parameter.kind is parameter.KEYWORD_ONLY


@pytest.mark.parametrize("function", OURS)
def test_options_are_keyword_only(function):
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is parameter.empty or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            continue
        first = next(iter(inspect.signature(function).parameters)) == parameter.name
        allowed = POSITIONAL_OPTIONS | {"learning_rate", "dtype", "momentum", "like", "targets", "overrides", "path"}
        assert first or parameter.name in allowed, f"{parameter.name} should be keyword-only"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_are_documented(function):
    doc = inspect.getdoc(function) or ""
    assert doc, "no docstring"
    body = inspect.getdoc(inspect.unwrap(function))
    assert len(body.splitlines()) <= 50
    entry = next((e for e in jaxdict.entries() if e.function is function), None)
    if entry is not None and entry.kind not in ("term",):
        assert {"Returns:", "Raises:"} <= set(doc.split()), "say what comes back and what is an error"


def fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_loads_no_extras_and_not_chex_beyond_what_optax_loads():
    heavy = {
        "chex", "equinox", "flax", "matplotlib", "pandas", "pydantic", "rich", "safetensors", "sklearn", "tensorboardX",
        "torch", "typer",
    }  # fmt: skip
    code = (
        "import sys, optax\nbefore = set(sys.modules)\nimport jaxdict\njaxdict.fit, jaxdict.lookup, jaxdict.models\n"
        f"print(sorted((set(sys.modules) - before) & {heavy}))"
    )
    assert fresh(code).strip() == "[]"


def test_importing_alone_is_lazy():
    code = "import sys, jaxdict; print('jax' in sys.modules, sorted(jaxdict.__all__)[:1], 'fit' in dir(jaxdict))"
    assert fresh(code).split()[0] == "False"
    assert fresh(code).split()[-1] == "True"


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="module 'jaxdict' has no attribute 'optimisers'"):
        _ = jaxdict.optimisers


def test_every_public_name_exists():
    for name in jaxdict.__all__:
        assert getattr(jaxdict, name) is not None
