"""The same by jaxdict's own names and optax's, where there is one that is equal to rounding."""

from typing import Any

from jaxdict.port._reading import Call
from jaxdict.port._writing import moves_momentum, rate

_CLIPS = {"clipnorm": "clip_by_norm", "clipvalue": "clip_by_value", "global_clipnorm": "clip_by_global_norm"}


def native(call: Call, schedule: Call | None) -> str | None:
    """An expression, or None where nothing of jaxdict's own or optax's is exactly this.

    It holds for a ``schedule`` too, where the rule is the same under a changing rate.
    """
    if schedule is not None and (schedule.name == "ReduceLROnPlateau" or moves_momentum(call, schedule)):
        return None
    eta = rate(call, schedule)
    changes = schedule is not None or isinstance(call["lr" if call.framework == "torch" else "learning_rate"], Call)
    return _torch(call, eta, changes) if call.framework == "torch" else _keras(call, eta)


def _torch(call: Call, eta: str, changes: bool) -> str | None:
    decay = call["weight_decay"] if "weight_decay" in call.parameters else 0
    decoupled = call.name == "AdamW" or ("decoupled_weight_decay" in call.parameters and call["decoupled_weight_decay"])
    before = ["optax.scale(-1.0)"] if call["maximize"] else []
    if decay and not decoupled:
        before.append(f"jd.optimizers.weight_decay({decay!r})")
        decay = 0
    own = _torch_rule(call, eta, decay, changes)
    return None if own is None else _chain([*before, *own])


def _torch_rule(call: Call, eta: str, decay: Any, changes: bool) -> list[str] | None:
    """The links of the rule; a ``decay`` is decoupled."""
    match call.name:
        case "SGD" if not call["momentum"]:
            return [_made("gradient_descent", eta)]
        case "SGD" if not call["dampening"]:
            return [_made("sgd", eta, momentum=call["momentum"], nesterov=call["nesterov"] or None)]
        case "Adam" | "AdamW":
            b1, b2 = call["betas"]
            options = {"b1": _unless(b1, 0.9), "b2": _unless(b2, 0.999), "eps": _unless(call["eps"], 1e-8)}
            name = "amsgrad" if call["amsgrad"] else "adam"
            if decay and name == "adam":
                return [_made("adamw", eta, **options, weight_decay=decay)]
            return _decoupled(name, eta, decay, options)
        case "NAdam":
            b1, b2 = call["betas"]
            options = {"b1": _unless(b1, 0.9), "b2": _unless(b2, 0.999), "eps": _unless(call["eps"], 1e-8),
                       "momentum_decay": _unless(call["momentum_decay"], 0.004), "mean": "constant"}  # fmt: skip
            return _decoupled("nadam", eta, decay, options)
        case "Adagrad" if not call["lr_decay"]:
            first = _unless(call["initial_accumulator_value"], 0)
            return [_made("adagrad", eta, eps=call["eps"], eps_root=0.0, initial_accumulator_value=first)]
        case "RMSprop":
            options = {"decay": _unless(call["alpha"], 0.9), "eps": call["eps"], "eps_root": 0.0,
                       "centered": call["centered"] or None}  # fmt: skip
            if call["momentum"] and changes:  # the rate outside the velocity
                return [
                    _made("scale_by_rmsprop", **options), f"optax.trace({call['momentum']!r})",
                    _made("scale_by_rate", eta),
                ]  # fmt: skip
            return [_made("rmsprop", eta, **options, momentum=call["momentum"] or None)]
        case "Adadelta":
            return [_made("adadelta", eta, rho=_unless(call["rho"], 0.95), eps_root=_unless(call["eps"], 1e-6))]
        case "Rprop" if not changes:
            (minus, plus), (low, high) = call["etas"], call["step_sizes"]
            return [
                _made("rprop", eta, eta_minus=_unless(minus, 0.5), eta_plus=_unless(plus, 1.2),
                      min_step_size=_unless(low, 1e-6), max_step_size=_unless(high, 50))
            ]  # fmt: skip
        case _:  # epsilon stands elsewhere, or there is nothing like it
            return None


def _keras(call: Call, eta: str) -> str | None:
    if call["use_ema"] or call["loss_scale_factor"] is not None or call.says("exclude_from_weight_decay"):
        return None
    before = [_made(link, repr(call[name])) for name, link in _CLIPS.items() if call[name] is not None]
    own = _keras_rule(call, eta, call["weight_decay"] or 0)
    if own is None:
        return None
    made, steps = _chain([*before, *own]), call["gradient_accumulation_steps"]
    return f"optax.MultiSteps({made}, {steps})" if steps else made


def _keras_rule(call: Call, eta: str, decay: float) -> list[str] | None:
    """The links of the rule; the decay is always decoupled."""
    match call.name:
        case "SGD" if not call["momentum"]:
            return [*([_made("weight_decay", repr(decay))] if decay else []), _made("gradient_descent", eta)]
        case "SGD" if not decay:
            return [_made("nesterov_bengio" if call["nesterov"] else "momentum", eta, momentum=call["momentum"])]
        case "RMSprop":
            options = {"decay": _unless(call["rho"], 0.9), "eps_root": call["epsilon"],
                       "centered": call["centered"] or None}  # fmt: skip
            if decay and call["momentum"]:
                return None
            return _decoupled("rmsprop", eta, decay, options | {"momentum": call["momentum"] or None})
        case "Adagrad":
            first = _unless(call["initial_accumulator_value"], 0)
            return _decoupled("adagrad", eta, decay, {"eps_root": call["epsilon"], "initial_accumulator_value": first})
        case "Adadelta":
            return _decoupled("adadelta", eta, decay, {"rho": _unless(call["rho"], 0.95), "eps_root": call["epsilon"]})
        case "Adamax":
            options = {"b1": _unless(call["beta_1"], 0.9), "b2": _unless(call["beta_2"], 0.999)}
            return _decoupled("adamax", eta, decay, options | {"eps": call["epsilon"]})
        case "Nadam":
            options = {"b1": _unless(call["beta_1"], 0.9), "b2": _unless(call["beta_2"], 0.999),
                       "eps": call["epsilon"], "momentum_decay": 1.0, "mean": "constant"}  # fmt: skip
            return _decoupled("nadam", eta, decay, options)
        case "Lion":
            options = {"b1": _unless(call["beta_1"], 0.9), "b2": _unless(call["beta_2"], 0.99)}
            return [_made("lion", eta, **options, weight_decay=decay)]
        case "Lamb" if not decay:
            options = {"b1": _unless(call["beta_1"], 0.9), "b2": _unless(call["beta_2"], 0.999)}
            return [_made("lamb", eta, **options, eps=call["epsilon"])]
        case _:  # Adam's epsilon is added to the uncorrected root; Ftrl is nowhere else
            return None


def _decoupled(name: str, eta: str, decay: Any, options: dict[str, Any]) -> list[str]:
    """The optimizer, or its direction, the decay and the rate."""
    if not decay:
        return [_made(name, eta, **options)]
    return [
        _made(f"scale_by_{name}", **{key: value for key, value in options.items() if key != "momentum"}),
        _made("weight_decay", repr(decay)), _made("scale_by_rate", eta),
    ]  # fmt: skip


def _unless(value: Any, default: Any) -> Any:
    """None, which is not written, where the value is jaxdict's default."""
    return None if value == default else value


def _made(name: str, first: str = "", **options: Any) -> str:
    given = [*([first] if first else []), *(f"{key}={value!r}" for key, value in options.items() if value is not None)]
    return f"jd.optimizers.{name}({', '.join(given)})"


def _chain(links: list[str]) -> str:
    return links[0] if len(links) == 1 else f"optax.chain({', '.join(links)})"
