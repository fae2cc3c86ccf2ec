"""From text to calls: constructor calls, reprs, configs and saved parameter groups. Nothing of it is run."""

import ast
import inspect
import json
import re
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from jaxdict import _check, dictionary
from jaxdict.compat.keras import optimizers as keras_optimizers
from jaxdict.compat.torch import optim as torch_optim

# Where the names of each framework are: optimizers, then schedules.
ROOMS: dict[tuple[str, str], ModuleType] = {
    ("torch", "optimizer"): torch_optim,
    ("torch", "schedule"): torch_optim.lr_scheduler,
    ("keras", "optimizer"): keras_optimizers,
    ("keras", "schedule"): keras_optimizers.schedules,
}
# How the other framework computes, or what has no meaning outside of it.
WITHOUT_EFFECT = {
    ("torch", "optimizer"): ("params", "param_names", "foreach", "fused", "capturable", "differentiable"),
    ("torch", "schedule"): ("optimizer", "last_epoch", "verbose"),
    ("keras", "optimizer"): ("name", "jit_compile", "is_legacy_optimizer"),
    ("keras", "schedule"): ("name",),
}
# What one framework calls so, and another so.
SYNONYMS = (("lr", "learning_rate"), ("eps", "epsilon"), ("betas", "beta_1", "beta_2", "b1", "b2"), ("alpha", "rho"))
# What a scheduler leaves in torch's parameter groups.
OF_SCHEDULERS = ("initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum")
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")
FORMS = (
    "a constructor call such as torch.optim.SGD(model.parameters(), lr=0.1), print(optimizer) of torch, or JSON of"
    " keras.optimizers.serialize(optimizer) or of torch's optimizer.state_dict()"
)


@dataclass(frozen=True)
class Call:
    """An optimizer or a schedule of a framework, and the arguments that were given, by name."""

    framework: str
    kind: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Callable[..., Any]:
        """jaxdict's function of the framework's name and arguments."""
        return getattr(ROOMS[self.framework, self.kind], self.name)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    def __getitem__(self, name: str) -> Any:
        """The argument, or its default."""
        return self.arguments[name] if name in self.arguments else self.parameters[name].default

    def says(self, name: str) -> bool:
        """Whether the argument is not its default."""
        return name in self.arguments and self.arguments[name] != self.parameters[name].default


@dataclass(frozen=True)
class Recipe:
    """An optimizer for each group of parameters, and torch's scheduler over all of them."""

    groups: tuple[Call, ...]
    schedule: Call | None = None
    notes: tuple[str, ...] = ()


def read_source(source: str) -> str:
    """The text to translate: that of a file, or ``source`` itself where it is no file's name.

    Args:
      source: a path, or text. Of ``.safetensors`` the header is read, of ``.npz`` the array ``param_groups`` (JSON as a
        string), of ``.keras`` the config in the archive, of any other file its text.

    Returns:
      Text for ``translate``.

    Raises:
      ValueError: a pickle, and a file that does not hold an optimizer. FileNotFoundError: no such file.
    """
    path = Path(source.strip()) if len(source) < 1000 and "\n" not in source.strip() else None
    if path is None or not (path.suffix and re.fullmatch(r"[^()\[\]{}]+\.\w+", str(path))):
        return source
    if path.suffix in PICKLES:
        saved = f"torch.load('{path.name}')['param_groups']"
        raise ValueError(
            f"{path}: a pickle can run code when it is read; write JSON where it comes from, by"
            f" json.dump({saved}, open('optimizer.json', 'w')), or save print(optimizer)"
        )
    if not path.is_file():
        if "/" in source or path.suffix in (".json", ".txt", ".py", ".npz", ".keras", ".safetensors"):
            raise FileNotFoundError(f"{path}: no such file")
        return source
    try:
        return {".safetensors": _safetensors, ".npz": _npz, ".keras": _keras_archive}.get(path.suffix, _text)(path)
    except (KeyError, TypeError, ValueError, zipfile.BadZipFile, struct.error) as error:
        raise ValueError(f"{path}: holds no optimizer that can be read ({error})") from None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _safetensors(path: Path) -> str:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, path.stat().st_size)))
    return json.dumps({"param_groups": json.loads(header["__metadata__"]["param_groups"])})


def _npz(path: Path) -> str:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return json.dumps({"param_groups": json.loads(str(archive["param_groups"]))})


def _keras_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return json.dumps(json.loads(archive.read("config.json"))["compile_config"]["optimizer"])


def read(text: str, *, name: str | None = None) -> Recipe:
    """What ``text`` says; ValueError where it says nothing that is known."""
    text = text.strip()
    if text.startswith(("{", "[")):
        return _from_data(_data(text), name)
    printed = re.match(r"(\w+) \(\s*\nParameter Group 0\s*$", text, re.MULTILINE)
    if not printed:
        return _from_code(text)
    block, _, rest = text.partition("\n)")
    groups = _printed_groups(block)
    if not rest.strip():
        return _from_groups(groups, printed[1])
    # Its scheduler after it: that began from initial_lr.
    groups = [{**group, "lr": group.get("initial_lr", group.get("lr"))} for group in groups]
    return _from_code(rest.strip(), _from_groups(groups, printed[1]).groups)


def names(framework: str, kind: str) -> list[str]:
    """The optimizers or schedules of a framework that are here."""
    room = ROOMS[framework, kind]
    return [name for name in room.__all__ if inspect.isfunction(getattr(room, name)) and name[0].isupper()]


# --- data -------------------------------------------------------------------------------------------------------------


def _data(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)  # print(optimizer.state_dict())
    except (TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"neither JSON nor a Python literal; give {FORMS}") from None


def _from_data(data: Any, name: str | None) -> Recipe:
    if isinstance(data, Mapping) and "class_name" in data:
        return _from_keras(str(data["class_name"]), data.get("config"))
    groups = data.get("param_groups") if isinstance(data, Mapping) else data
    if isinstance(groups, Sequence) and groups and all(map(_is_table, groups)):
        recipe = _from_groups(groups, name or _name_of(groups[0]))
        if not isinstance(data, Mapping) or not data.get("state"):
            return recipe
        goes_on = "its moments go on by jd.compat.torch.import_optimizer_state(state_dict, params)"
        return Recipe(recipe.groups, notes=(*recipe.notes, goes_on))
    if isinstance(data, Mapping) and "learning_rate" in data and (name or "name" in data):
        return _from_keras(name or str(data["name"]), data)
    raise ValueError(f"no optimizer in this data; give {FORMS}")


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _from_keras(name: str, config: Any) -> Recipe:
    if not _is_table(config):
        raise ValueError(f"the config of {name} must be a table of its arguments; got {config!r}")
    name = _known("keras", "optimizer", name)
    rate = config.get("learning_rate")
    arguments = dict(config)
    if isinstance(rate, Mapping):
        if not {"class_name", "config"} <= set(rate) or not _is_table(rate["config"]):
            raise ValueError(f"learning_rate must be a number or a serialized schedule; got {dict(rate)!r}")
        schedule = _known("keras", "schedule", str(rate["class_name"]))
        arguments["learning_rate"] = _call("keras", "schedule", schedule, [], dict(rate["config"]))
    elif isinstance(rate, float) and float(np.float32(rate)) == rate:
        arguments["learning_rate"] = float(str(np.float32(rate)))  # Keras keeps it in float32: 0.0010000000474974513
    return Recipe((_call("keras", "optimizer", name, [], arguments),))


def _printed_groups(text: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [{}]
    for row in text.partition("Parameter Group 0")[2].splitlines():
        if re.match(r"\s*Parameter Group \d+\s*$", row):
            groups.append({})
        elif re.match(r"\s*\w+: ", row):
            key, value = row.strip().split(": ", 1)
            value = re.sub(r"tensor\(([^,()]+)[^()]*\)", r"\1", value)
            groups[-1][key] = _value(_parsed(value, f"{key}: {value}"), key, _Names())
        elif row.strip() not in ("", ")"):
            raise ValueError(f"a line of print(optimizer) is 'name: value'; got {row.strip()!r}")
    return groups


def _name_of(group: Mapping[str, Any]) -> str:
    """Which optimizer of torch has such a group: a saved state does not say."""
    given = set(group) - set(OF_SCHEDULERS) - {"params", "param_names"}
    fits = []
    for name in names("torch", "optimizer"):
        takes = set(inspect.signature(getattr(torch_optim, name)).parameters)
        newer = {"decoupled_weight_decay"} if takes & {"decoupled_weight_decay"} or name == "AdamW" else set()
        if given <= takes | newer and takes - given - newer <= set(WITHOUT_EFFECT["torch", "optimizer"]):
            fits.append(name)
    if "decoupled_weight_decay" in given and {"Adam", "AdamW"} <= set(fits):
        fits.remove("Adam" if group["decoupled_weight_decay"] else "AdamW")
    if set(fits) == {"Adamax", "RAdam"} and "capturable" in given:
        fits = ["Adamax"]  # since RAdam has capturable, it says whether its decay is decoupled
    if len(fits) == 1:
        return fits[0]
    between = f"{' and '.join(fits)} have such groups" if fits else f"no optimizer of torch has {sorted(given)}"
    raise ValueError(f"a saved state does not name its optimizer, and {between}; say which by --as NAME (name=)")


def _from_groups(groups: Sequence[Mapping[str, Any]], name: str) -> Recipe:
    name = _known("torch", "optimizer", name)
    notes, calls = [], []
    for group in groups:
        kept = {key: value for key, value in group.items() if key not in OF_SCHEDULERS}
        if name == "AdamW" and kept.pop("decoupled_weight_decay", True) is not True:
            raise ValueError("AdamW has decoupled_weight_decay True; got False, which is Adam")
        if "initial_lr" in group:
            notes.append(f"a scheduler moved lr from {group['initial_lr']!r}: give its constructor after the optimizer")
        calls.append(_call("torch", "optimizer", name, [], kept))
    return Recipe(_distinct(calls), notes=tuple(dict.fromkeys(notes)))


def _distinct(calls: Sequence[Call]) -> tuple[Call, ...]:
    """One for all groups where they are alike."""
    return tuple(calls[:1] if all(call == calls[0] for call in calls) else calls)


# --- code -------------------------------------------------------------------------------------------------------------


@dataclass
class _Names:
    """What a piece of code has said so far."""

    modules: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def dotted(self, node: ast.expr) -> str:
        """The full name of what is called, by the imports; empty for what has none."""
        match node:
            case ast.Name(id=name):
                return self.modules.get(name, name)
            case ast.Attribute(value=value, attr=name):
                base = self.dotted(value)
                return f"{base}.{name}" if base else ""
            case _:
                return ""


def _parsed(text: str, shown: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"{shown!r} is not written as a literal") from None


def _from_code(text: str, groups: tuple[Call, ...] = ()) -> Recipe:
    """What statements say, one after the other; a scheduler may follow ``groups`` that are known already."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        where = f" (line {error.lineno}: {error.msg})" if isinstance(error, SyntaxError) else ""
        raise ValueError(f"this is no optimizer that can be read{where}; give {FORMS}") from None
    said = _Names()
    schedule: Call | None = None
    unknown = ""
    for statement in body:
        match statement:
            case ast.Import(names=imported):
                said.modules |= {one.asname: one.name for one in imported if one.asname}
            case ast.ImportFrom(module=module, names=imported):
                said.modules |= {one.asname or one.name: f"{module}.{one.name}" for one in imported}
            case ast.Assign() | ast.Expr():
                found = _found(statement.value, said)
                if isinstance(found, str):
                    named = len(_frameworks(found)) == 1  # not any other call, such as that of a model
                    unknown = found if not unknown or (named and len(_frameworks(unknown)) > 1) else unknown
                    found = None
                for target in statement.targets if isinstance(statement, ast.Assign) else ():
                    if isinstance(target, ast.Name):
                        said.values[target.id] = _try(statement.value, said) if found is None else found
                if isinstance(found, tuple):
                    groups = found
                elif isinstance(found, Call):
                    schedule = found
            case _:
                pass
    if not groups:
        if unknown:
            _unknown("keras" if "keras" in unknown else "torch", "optimizer", unknown.rpartition(".")[2])
        raise ValueError(f"no optimizer in this text; give {FORMS}")
    # Keras's schedules stand inside the optimizer; alone they are only names for it.
    return Recipe(groups, schedule if schedule and schedule.framework == "torch" else None)


def _try(value: ast.expr, said: _Names) -> Any:
    try:
        return _value(value, "", said)
    except ValueError:
        return value  # complained about where it is used


def _found(node: ast.expr, said: _Names) -> tuple[Call, ...] | Call | str | None:
    """An optimizer (a call for each group of parameters), a schedule, or the name of what is neither."""
    if not isinstance(node, ast.Call):
        return None
    dotted = said.dotted(node.func)
    name = dotted.rpartition(".")[2]
    homes = [(f, k) for f, k in ROOMS if name in names(f, k) and f in _frameworks(dotted)]
    if not homes:
        return dotted or None
    if len(homes) > 1:
        keywords = {one.arg for one in node.keywords}
        homes = [(f, k) for f, k in homes if keywords & _own(f, k, name)] or homes
    if len(homes) > 1:
        raise ValueError(f"{name} is torch's and keras's: write torch.optim.{name}(…) or keras.optimizers.{name}(…)")
    ((framework, kind),) = homes
    positional, keywords = list(node.args), {one.arg: one.value for one in node.keywords}
    if None in keywords or any(isinstance(one, ast.Starred) for one in positional):
        raise ValueError(f"{name}: write the arguments out instead of * and **")
    first = {"optimizer": "params", "schedule": "optimizer"}[kind]
    tables: list[dict[str, Any]] = [{}]
    if framework == "torch":
        given = keywords.pop(first, None) or (positional.pop(0) if positional else None)
        if kind == "optimizer" and given is not None:
            tables = _tables(given, said)
    arguments = {str(key): _value(value, str(key), said) for key, value in keywords.items()}
    values = [_value(value, "an argument", said) for value in positional]
    calls = [_call(framework, kind, name, values, arguments, table) for table in tables]
    return _distinct(calls) if kind == "optimizer" else calls[0]


def _frameworks(dotted: str) -> tuple[str, ...]:
    parts = dotted.split(".")
    if "keras" in parts:
        return ("keras",)
    if {"torch", "optim", "lr_scheduler"} & set(parts):
        return ("torch",)
    return ("torch", "keras")


def _own(framework: str, kind: str, name: str) -> set[str]:
    """The arguments that only this framework's function of the name takes."""
    other = {"torch": "keras", "keras": "torch"}[framework]
    mine = set(inspect.signature(getattr(ROOMS[framework, kind], name)).parameters)
    room = ROOMS[other, kind]
    return mine - set(inspect.signature(getattr(room, name)).parameters) if hasattr(room, name) else mine


def _tables(node: ast.expr, said: _Names) -> list[dict[str, Any]]:
    """What each group of parameters sets for itself."""
    if not isinstance(node, ast.List) or not all(isinstance(one, ast.Dict) for one in node.elts):
        return [{}]
    tables = []
    for one in node.elts:
        assert isinstance(one, ast.Dict)
        keys = [key.value if isinstance(key, ast.Constant) else None for key in one.keys]
        pairs = {
            str(k): v for k, v in zip(keys, one.values, strict=True) if k not in WITHOUT_EFFECT["torch", "optimizer"]
        }
        tables.append({key: _value(value, key, said) for key, value in pairs.items()})
    return tables


def _value(node: Any, where: str, said: _Names) -> Any:
    """A literal, arithmetic of numbers, a schedule, or a name for one of them."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _value(operand, where, said)
            if isinstance(inner, (int, float)):
                return -inner
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div() as op, right=right):
            a, b = _value(left, where, said), _value(right, where, said)
            if isinstance(a, (int, float)) and isinstance(b, (int, float)):
                if isinstance(op, ast.Div):
                    return a / b if b else float("nan")
                return a + b if isinstance(op, ast.Add) else a - b if isinstance(op, ast.Sub) else a * b
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_value(part, where, said) for part in parts)
        case ast.Name(id=name) if name in said.values and not isinstance(said.values[name], ast.expr):
            return said.values[name]
        case ast.Call():
            found = _found(node, said)
            if isinstance(found, Call):
                return found
        case _:
            pass
    shown = ast.unparse(node)
    raise ValueError(f"{where or shown}: {shown!r} is not written as a literal; put its value there")


# --- arguments --------------------------------------------------------------------------------------------------------


def _known(framework: str, kind: str, name: str) -> str:
    """The name as the framework spells it: ``rm_sprop``, in a config of Keras, is RMSprop."""
    spelled = {_check.fold(known): known for known in names(framework, kind)}
    if _check.fold(name) not in spelled:
        _unknown(framework, kind, name)
    return spelled[_check.fold(name)]


def _unknown(framework: str, kind: str, name: str) -> None:
    known = names(framework, kind)
    hint = _check.did_you_mean(name, known)
    try:
        near = dictionary.lookup(name, kind=kind)
    except KeyError:
        near = None
    if near is not None and near.name not in map(_check.fold, known):
        hint = f"jd.{kind}s.{near.name} is near it ({framework}'s {near.conventions.get(framework, 'is another')})"
    raise ValueError(f"no {kind} of {framework} that is known here is called {name!r}; {hint}")


def _call(framework: str, kind: str, name: str, positional: Sequence[Any], *tables: Mapping[str, Any]) -> Call:
    """The call with its arguments by name; the last table wins. ValueError for what the function does not take."""
    function = getattr(ROOMS[framework, kind], name)
    takes = list(inspect.signature(function).parameters)
    if framework == "torch" and kind == "schedule" and takes[0] == "lr":
        takes = takes[1:]  # torch's schedulers take the optimizer there
    if len(positional) > len(takes):
        raise ValueError(f"{name} takes {len(takes)} arguments; got {len(positional)}")
    given = dict(zip(takes, positional, strict=False))
    for table in tables:
        given |= table
    arguments = {}
    for key, value in given.items():
        if key in WITHOUT_EFFECT[framework, kind]:
            continue
        if key not in takes:
            raise ValueError(f"{plain_name(framework, kind, name)} has no argument {key!r}; {_hint(key, takes)}")
        arguments[key] = tuple(value) if isinstance(value, list) else value
    return Call(framework, kind, name, arguments)


def _hint(key: str, takes: Sequence[str]) -> str:
    other = next((t for group in SYNONYMS if key in group for t in takes if t in group), None)
    return f"did you mean {other!r}?" if other else _check.did_you_mean(key, takes)


def plain_name(framework: str, kind: str, name: str) -> str:
    """``torch.optim.SGD``, as the framework itself calls it."""
    homes = {
        ("torch", "optimizer"): "torch.optim", ("torch", "schedule"): "torch.optim.lr_scheduler",
        ("keras", "optimizer"): "keras.optimizers", ("keras", "schedule"): "keras.optimizers.schedules",
    }  # fmt: skip
    return f"{homes[framework, kind]}.{name}"
