"""What differs from optax's function of the name and from jaxdict's: the entries' conventions, and the defaults."""

import inspect
from collections.abc import Callable
from typing import Any

import optax

from jaxdict import dictionary
from jaxdict._entry import Entry
from jaxdict.port._reading import Call, plain_name

# argument -> what jaxdict and optax call it, the first that they have; a pair of numbers has two names
_RENAMED: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate",), "alpha": ("decay",), "rho": ("rho", "decay"), "beta_1": ("b1",), "beta_2": ("b2",),
    "epsilon": ("eps",),
}  # fmt: skip
_PAIRS = {"betas": ("b1", "b2"), "etas": ("eta_minus", "eta_plus"), "step_sizes": ("min_step_size", "max_step_size")}
# what an argument that is set adds to the rule, as an entry
_ADDED = {
    "weight_decay": "weight_decay", "clipnorm": "clip_by_norm", "clipvalue": "clip_by_value",
    "global_clipnorm": "clip_by_global_norm",
}  # fmt: skip


def differences(call: Call) -> list[str]:
    """Sentences about the optimizer or schedule ``call`` and what it is made of."""
    found: list[str] = []
    name = "amsgrad" if call.kind == "optimizer" and "amsgrad" in call.parameters and call["amsgrad"] else call.name
    entry = _entry(name, call.kind)
    if entry is not None:
        if call.kind == "optimizer":
            found += _defaults(call, entry)
        found += _rules(entry, call.framework)
    for argument, added in _ADDED.items():
        if call.kind == "optimizer" and call.name != "AdamW" and argument in call.parameters and call[argument]:
            found += _rules(dictionary.lookup(added, kind="optimizer"), call.framework)
    for value in call.arguments.values():
        for inner in value if isinstance(value, tuple) else (value,):
            found += differences(inner) if isinstance(inner, Call) else []
    if entry is None and call.kind == "optimizer":
        found.append(
            f"neither jaxdict nor optax has {plain_name(call.framework, call.kind, call.name)} by another name"
        )
    return found


def _entry(name: str, kind: str) -> Entry | None:
    try:
        return dictionary.lookup(name, kind=kind)
    except KeyError:
        return None


def _rules(entry: Entry, framework: str) -> list[str]:
    """What the entry says of the framework and of optax."""
    own = f"jd.{entry.kind}s.{entry.name}"
    said = [(other, entry.conventions.get(other)) for other in (framework, "optax")]
    return [f"{other} against {own}: {convention}" for other, convention in said if convention]


def _defaults(call: Call, entry: Entry) -> list[str]:
    """Defaults that were relied on, and are others in jaxdict or optax."""
    others = {f"jd.optimizers.{entry.name}": _signature(entry.function)}
    theirs = getattr(optax, entry.name, None) or getattr(optax.contrib, entry.name, None)
    if theirs is not None:
        others[f"optax.{entry.name}"] = _signature(theirs)
    found = []
    for argument, parameter in call.parameters.items():
        if argument in call.arguments and call.says(argument):
            continue
        if argument in _PAIRS:
            values = list(zip(_PAIRS[argument], parameter.default, strict=True))
        else:
            values = [(name, parameter.default) for name in _RENAMED.get(argument, (argument,))]
        differing = []
        for function, defaults in others.items():
            for name, value in values:
                if name in defaults and not _alike(defaults[name], value):
                    default = defaults[name]
                    shown = "to be given" if default is inspect.Parameter.empty else f"{default!r}"
                    differing.append(f"{shown} in {function}" + (f" ({name})" if name != argument else ""))
        if differing:
            found.append(f"{argument} is {parameter.default!r} by default; {', '.join(differing)}")
    return found


def _alike(a: Any, b: Any) -> bool:
    return a == b or (not a and not b and a is not inspect.Parameter.empty)


def _signature(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}
