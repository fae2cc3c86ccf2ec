"""Calls as Python text by the names of ``jaxdict.compat``."""

from typing import Any

from jaxdict.port._reading import Call, Recipe, plain_name

_HOMES = {
    ("torch", "optimizer"): "jd.compat.torch.optim",
    ("torch", "schedule"): "jd.compat.torch.optim.lr_scheduler",
    ("keras", "optimizer"): "jd.compat.keras.optimizers",
    ("keras", "schedule"): "jd.compat.keras.optimizers.schedules",
}
_CYCLES = ("CyclicLR", "OneCycleLR")  # torch's schedulers that move the momentum too


def line(call: Call, schedule: Call | None) -> str:
    """The optimizer with its schedule, as one expression."""
    options = {name: text(call.arguments[name], call) for name in call.arguments if call.says(name)}
    steps = options.pop("gradient_accumulation_steps", None)
    after = ""
    if schedule is not None and schedule.name == "ReduceLROnPlateau":
        after = text(schedule, call)
    elif schedule is not None:
        options = {"lr": text(schedule, call), **{k: v for k, v in options.items() if k != "lr"}}
        if moves_momentum(call, schedule):
            options["lr"] = f"(rate := {options['lr']})"
            if "betas" in call.parameters:
                options["betas"] = f"(rate.momentum, {call['betas'][1]!r})"
            else:
                options["momentum"] = "rate.momentum"
    made = f"{_HOMES[call.framework, call.kind]}.{call.name}({_joined(options)})"
    if after:
        made = f"optax.chain({made}, {after})"
    return made if steps is None else f"optax.MultiSteps({made}, {steps})"


def build(value: Any, optimizer: Call) -> Any:
    """What the text of ``value`` makes; a ValueError where its arguments are not allowed or one is missing."""
    if isinstance(value, tuple):
        return tuple(build(part, optimizer) for part in value)
    if not isinstance(value, Call):
        return value
    options = {n: build(v, optimizer) for n, v in value.arguments.items() if n != "gradient_accumulation_steps"}
    if value.framework == "torch" and value.kind == "schedule" and "lr" in value.parameters:
        options["lr"] = optimizer["lr"]
    try:
        return value.function(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{plain_name(value.framework, value.kind, value.name)}: {error}") from None


def moves_momentum(call: Call, schedule: Call) -> bool:
    """Whether torch's scheduler sets the momentum of the optimizer at every step."""
    cycles = schedule.name in _CYCLES and schedule["cycle_momentum"]
    return cycles and bool({"momentum", "betas"} & set(call.parameters))


def rate(call: Call, schedule: Call | None) -> str:
    """The rate alone."""
    if schedule is not None and schedule.name != "ReduceLROnPlateau":
        return text(schedule, call)
    return text(call["lr" if call.framework == "torch" else "learning_rate"], call)


def text(value: Any, optimizer: Call) -> str:
    """A value of an argument; torch's schedulers get the optimizer's rate where they took the optimizer."""
    if isinstance(value, (tuple, list)):
        parts = [text(part, optimizer) for part in value]
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if not isinstance(value, Call):
        return repr(value)
    needed = [name for name, p in value.parameters.items() if p.default is p.empty]
    positional = []
    if value.framework == "torch" and needed[:1] == ["lr"]:
        positional, needed = [text(optimizer["lr"], optimizer)], needed[1:]
    options = {n: text(v, optimizer) for n, v in value.arguments.items() if n in needed or value.says(n)}
    return (
        f"{_HOMES[value.framework, value.kind]}.{value.name}({', '.join([*positional, _joined(options)]).strip(', ')})"
    )


def _joined(options: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def remarks(recipe: Recipe) -> list[str]:
    """What has to be known to use the line."""
    schedule, found = recipe.schedule, []
    if schedule is not None and schedule.name == "ReduceLROnPlateau":
        found.append("the loss goes in by update(…, value=loss); the scheduler counts calls of update")
    elif schedule is not None:
        found.append(
            f"steps are updates; where torch's scheduler.step() came once an epoch, write"
            f" {schedule.name}(…).every(updates_per_epoch)"
        )
    if len(recipe.groups) > 1:
        found.append("groups: a tree like the parameters that holds the number of each one's group")
    return found
