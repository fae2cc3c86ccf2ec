"""The configurations of optimizers and schedulers that parity is measured with, random ones and those that are kept."""

import dataclasses
import importlib.metadata
import inspect
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from _torch_runs import Spec, torch_optimizer, torch_rates, torch_run

OPTIMIZERS = (
    "SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "Rprop",
)  # fmt: skip


SCHEDULERS = (
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau",
    "SequentialLR", "StepLR",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Case:
    """One configuration: flags make the structure of the program, numbers are its data."""

    flags: tuple[tuple[str, Any], ...]
    numbers: Mapping[str, Any]
    spec: Spec | None
    scale: float  # of the gradients
    seed: int

    @property
    def options(self) -> dict[str, Any]:
        """As torch takes them."""
        return {**dict(self.flags), **self.numbers}

    @property
    def structure(self) -> tuple:
        return self.flags, tuple(sorted(self.numbers))


def draw(name: str, count: int, steps: int, dtype: Any) -> list[Case]:
    """``count`` random configurations whose numbers ``dtype`` holds."""
    rng = np.random.default_rng([OPTIMIZERS.index(name), count])

    def held(value: Any) -> Any:
        return tuple(map(held, value)) if isinstance(value, tuple) else float(np.asarray(value, dtype))

    cases = []
    for _ in range(count):
        flags, numbers = _draw_options(name, rng)
        numbers = {key: held(value) for key, value in numbers.items()}
        spec = draw_spec(rng, steps, own_rate=False) if rng.random() < 0.4 else None
        if name == "Rprop":
            spec = None  # it takes the rate once
        cases.append(Case(flags, numbers, spec, float(10 ** rng.uniform(-3, 1)), int(rng.integers(2**31))))
    return cases


def _draw_options(name: str, rng: np.random.Generator) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    def log(low, high):
        return 10 ** rng.uniform(low, high)

    def coin():
        return bool(rng.random() < 0.5)

    numbers: dict[str, Any] = {"lr": log(-4, -1)}
    flags: dict[str, Any] = {"maximize": bool(rng.random() < 0.25)}
    if name != "Rprop":
        numbers["weight_decay"] = log(-4, -1) if coin() else 0.0
    if name in ("Adam", "AdamW", "Adamax", "NAdam", "RAdam"):
        numbers["betas"] = (rng.uniform(0.5, 0.99), 1 - log(-4, -1))
    if name not in ("SGD", "Rprop"):
        numbers["eps"] = log(-10, -2)
    if name == "SGD":
        kind = rng.choice(["plain", "momentum", "dampening", "nesterov"])
        if kind != "plain":
            numbers["momentum"] = rng.uniform(0.1, 0.99)
        if kind == "dampening":
            numbers["dampening"] = rng.uniform(0, 1)
        flags["nesterov"] = bool(kind == "nesterov")
    elif name == "Adagrad":
        numbers["lr_decay"] = log(-4, -1) if coin() else 0.0
        numbers["initial_accumulator_value"] = log(-3, 0) if coin() else 0.0
    elif name == "RMSprop":
        numbers["alpha"] = rng.uniform(0.9, 0.999)
        flags["centered"] = coin()
        if coin():
            numbers["momentum"] = rng.uniform(0.1, 0.95)
    elif name == "Adadelta":
        numbers["lr"], numbers["rho"] = log(-1, 0), rng.uniform(0.8, 0.99)
    elif name in ("Adam", "AdamW"):
        flags["amsgrad"] = coin()
    elif name == "NAdam":
        numbers["momentum_decay"] = log(-3, 0)
        flags["decoupled_weight_decay"] = coin()
    elif name == "RAdam":
        flags["decoupled_weight_decay"] = coin()
    elif name == "Rprop":
        numbers["etas"], numbers["step_sizes"] = (rng.uniform(0.3, 0.9), rng.uniform(1.05, 1.5)), (log(-7, -5), 10.0)
    return tuple(sorted(flags.items())), numbers


def draw_spec(rng: np.random.Generator, steps: int, *, own_rate: bool = True) -> Spec:
    """A random scheduler; those that bring their own rate, move momentum or are made of others where ``own_rate``."""

    def whole(low, high):
        return int(rng.integers(low, high))

    def simple(name: str) -> Spec:
        options: dict[str, Any] = {
            "LambdaLR": lambda: {"lr_lambda": str(rng.choice(["inverse", "shrink"]))},
            "MultiplicativeLR": lambda: {"lr_lambda": "shrink"},
            "StepLR": lambda: {"step_size": whole(1, steps // 4), "gamma": float(rng.uniform(0.3, 0.99))},
            "MultiStepLR": lambda: {
                "milestones": [whole(1, steps) for _ in range(whole(1, 6))], "gamma": float(rng.uniform(0.2, 1.1))
            },
            "ConstantLR": lambda: {"factor": float(rng.uniform(0.05, 1)), "total_iters": whole(1, steps)},
            "LinearLR": lambda: {
                "start_factor": float(rng.uniform(0.01, 1)), "end_factor": float(rng.uniform(0, 1)),
                "total_iters": whole(1, steps),
            },
            "ExponentialLR": lambda: {"gamma": float(1 - 10 ** rng.uniform(-4, -1.5))},
            "PolynomialLR": lambda: {"total_iters": whole(1, 2 * steps), "power": float(rng.uniform(0.5, 3))},
            "CosineAnnealingLR": lambda: {"T_max": whole(1, 2 * steps), "eta_min": float(10 ** rng.uniform(-6, -3))},
            "CosineAnnealingWarmRestarts": lambda: {
                "T_0": whole(1, steps // 2), "T_mult": whole(1, 4), "eta_min": float(10 ** rng.uniform(-6, -3))
            },
        }[name]()  # fmt: skip
        return name, options

    factors = ["MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR"]
    singles = ["LambdaLR", *factors, "CosineAnnealingLR", "CosineAnnealingWarmRestarts"]
    composed = ["CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"]
    name = str(rng.choice([*singles, *composed] if own_rate else singles))
    if name == "CyclicLR":
        return name, {
            "base_lr": float(10 ** rng.uniform(-4, -2)), "max_lr": float(10 ** rng.uniform(-2, 0)),
            "step_size_up": whole(1, steps // 2),
            "step_size_down": whole(1, steps // 2) if rng.random() < 0.5 else None,
            "mode": str(rng.choice(["triangular", "triangular2", "exp_range"])), "gamma": float(rng.uniform(0.99, 1)),
        }  # fmt: skip
    if name == "OneCycleLR":
        return name, {
            "max_lr": float(10 ** rng.uniform(-3, 0)), "total_steps": whole(steps, 2 * steps),
            "pct_start": float(rng.uniform(0.05, 0.45)), "anneal_strategy": str(rng.choice(["cos", "linear"])),
            "div_factor": float(rng.uniform(2, 50)), "final_div_factor": float(10 ** rng.uniform(0, 4)),
            "three_phase": bool(rng.random() < 0.5),
        }  # fmt: skip
    if name == "SequentialLR":
        rest = [kind for kind in singles if kind != "MultiplicativeLR"]  # which would go on from the rate before it
        parts = [simple(str(rng.choice(singles))), *(simple(str(rng.choice(rest))) for _ in range(whole(1, 3)))]
        milestones = sorted(whole(1, steps) for _ in parts[1:])
        return name, {"schedulers": parts, "milestones": milestones}
    if name == "ChainedScheduler":
        return name, {"schedulers": [simple(str(rng.choice(factors))) for _ in range(whole(2, 4))]}
    return simple(name)


# -------------------------------------------------------------------------------------- the runs that are kept

KEPT_STEPS, KEPT_AT = 50, (1, 2, 3, 6, 10, 20, 50)
KEPT: tuple[tuple[str, dict[str, Any], Spec | None], ...] = (
    ("SGD", {}, None),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}, ("ExponentialLR", {"gamma": 0.9})),
    ("SGD", {"lr": 0.05, "momentum": 0.8, "nesterov": True, "maximize": True}, None),
    ("SGD", {"lr": 0.1, "momentum": 0.5}, ("OneCycleLR", {"max_lr": 0.3, "total_steps": 60})),
    ("Adagrad", {}, None),
    ("Adagrad", {"lr": 0.3, "lr_decay": 0.1, "weight_decay": 0.2, "initial_accumulator_value": 0.4, "eps": 0.01}, None),
    ("RMSprop", {}, None),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "momentum": 0.7, "weight_decay": 0.1}, ("StepLR", {"step_size": 7})),
    ("RMSprop", {"lr": 0.02, "centered": True, "eps": 1e-3, "maximize": True}, None),
    ("RMSprop", {"lr": 0.02, "centered": True, "momentum": 0.4}, None),
    ("Adadelta", {}, None),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}, None),
    ("Adam", {}, None),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2, "amsgrad": True}, None),
    ("Adam", {"lr": 0.05, "maximize": True}, ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 6})),
    ("AdamW", {}, None),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}, ("CosineAnnealingLR", {"T_max": 20})),
    ("Adamax", {}, None),
    ("Adamax", {"lr": 0.05, "betas": (0.7, 0.9), "eps": 0.1, "weight_decay": 0.2, "maximize": True}, None),
    ("NAdam", {}, None),
    ("NAdam", {"lr": 0.05, "momentum_decay": 0.3, "weight_decay": 0.2, "decoupled_weight_decay": True}, None),
    ("NAdam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.2, "maximize": True}, None),
    ("RAdam", {}, None),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.2}, None),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.2, "decoupled_weight_decay": True, "maximize": True}, None),
    ("Rprop", {}, None),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.4), "step_sizes": (0.01, 0.3), "maximize": True}, None),
)
KEPT_SPECS: tuple[Spec, ...] = (
    ("LambdaLR", {"lr_lambda": "inverse"}),
    ("MultiplicativeLR", {"lr_lambda": "shrink"}),
    ("StepLR", {"step_size": 7, "gamma": 0.6}),
    ("MultiStepLR", {"milestones": [20, 5, 33, 20], "gamma": 0.6}),
    ("ConstantLR", {"factor": 0.3, "total_iters": 9}),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.7, "total_iters": 31}),
    ("ExponentialLR", {"gamma": 0.97}),
    ("PolynomialLR", {"total_iters": 37, "power": 1.7}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 9, "T_mult": 1, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 5, "T_mult": 2}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 7, "step_size_down": 4}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "mode": "exp_range", "gamma": 0.95}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60}),
    ("OneCycleLR", {"max_lr": 0.5, "epochs": 6, "steps_per_epoch": 10, "pct_start": 0.37, "anneal_strategy": "linear",
                    "three_phase": True, "div_factor": 10.0, "final_div_factor": 50.0}),
    ("SequentialLR", {"schedulers": [("LinearLR", {"start_factor": 0.1, "total_iters": 8}),
                                     ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.001}),
                                     ("ExponentialLR", {"gamma": 0.9})], "milestones": [8, 41]}),
    ("ChainedScheduler", {"schedulers": [("LinearLR", {"start_factor": 0.1, "total_iters": 8}),
                                         ("StepLR", {"step_size": 20, "gamma": 0.5}),
                                         ("ExponentialLR", {"gamma": 0.98})]}),
)  # fmt: skip
PLATEAU = {"mode": "min", "factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": 1, "min_lr": 0.01, "eps": 1e-4}


def record() -> dict[str, Any]:
    """Everything the tests compare with, and where it is from."""
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=6), rng.normal(size=(KEPT_STEPS, 6)) * np.asarray([1e-5, 1e-2, 0.3, 1, 3, 30])
    runs = []
    for name, options, spec in KEPT:
        path = torch_run(name, options, spec, start, gradients)
        runs.append({"optimizer": name, "options": options, "scheduler": spec, "params": path[np.array(KEPT_AT) - 1]})
    curves = []
    for spec in KEPT_SPECS:
        rates, momenta = torch_rates(spec, 0.3, 60)
        moved = spec[0] in ("CyclicLR", "OneCycleLR")
        curves.append({"scheduler": spec, "rates": rates, "momenta": momenta if moved else None})
    return _plain(
        {
            "provenance": {
                "script": "benchmarks/parity_torch.py --record",
                "torch": importlib.metadata.version("torch"), "numpy": importlib.metadata.version("numpy"),
                "python": platform.python_version(), "dtype": "float64, foreach=False",
                "data": "rng = numpy default_rng(0): start = rng.normal(size=6); gradients = rng.normal(size=(50, 6))"
                " times 1e-5, 1e-2, 0.3, 1, 3, 30 by column; schedulers from rate 0.3",
            },
            "steps": KEPT_AT, "start": start, "runs": runs, "schedulers": curves, "memories": _memories(),
            "clipping": _clipping(), "plateau": _plateau(), "signatures": _signatures(),
        }
    )  # fmt: skip


def _memories() -> list[dict[str, Any]]:
    """Each optimizer's state_dict in the middle of a run over two layers, and the parameters before and after."""
    kept = []
    for name, options in (
        ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}), ("Adagrad", {"lr": 0.1}),
        ("RMSprop", {"lr": 0.05, "momentum": 0.9, "centered": True}), ("Adadelta", {}),
        ("Adam", {"lr": 0.05, "amsgrad": True}), ("AdamW", {"lr": 0.05, "weight_decay": 0.1}), ("Adamax", {"lr": 0.05}),
        ("NAdam", {"lr": 0.05}), ("RAdam", {"lr": 0.05, "weight_decay": 0.1}), ("Rprop", {"lr": 0.05}),
    ):  # fmt: skip
        rng = np.random.default_rng(1)
        shapes = [(4, 3), (4,), (2, 4), (2,)]
        params = [torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
        optimizer = torch_optimizer(name, options, params)
        row: dict[str, Any] = {"optimizer": name, "options": options}
        for step in range(12):
            if step == 7:
                row["before"] = [p.detach().clone() for p in params]
                state = {i: dict(one) for i, one in optimizer.state_dict()["state"].items()}
                row["state"] = {i: {k: torch.clone(v) for k, v in one.items()} for i, one in state.items()}
                row["group"] = {k: v for k, v in optimizer.state_dict()["param_groups"][0].items() if v is not None}
            for p in params:
                p.grad = torch.tensor(rng.normal(size=p.shape))
            optimizer.step()
        row["after"] = [p.detach() for p in params]
        kept.append(row)
    return kept


def _clipping() -> list[dict[str, Any]]:
    rng = np.random.default_rng(2)
    arrays, rows = [rng.normal(size=(2, 3)), rng.normal(size=4)], []
    for name, options in (
        ("clip_grad_norm_", {"max_norm": 1.3}), ("clip_grad_norm_", {"max_norm": 100.0}),
        ("clip_grad_norm_", {"max_norm": 0.7, "norm_type": 1.0}),
        ("clip_grad_norm_", {"max_norm": 0.7, "norm_type": 3.0}),
        ("clip_grad_norm_", {"max_norm": 0.7, "norm_type": "inf"}), ("clip_grad_value_", {"clip_value": 0.4}),
    ):  # fmt: skip
        tensors = [torch.zeros(a.shape, dtype=torch.float64, requires_grad=True) for a in arrays]
        for tensor, array in zip(tensors, arrays, strict=True):
            tensor.grad = torch.tensor(array)
        getattr(torch.nn.utils, name)(tensors, **options)
        rows.append({"function": name, "options": options, "gradients": [t.grad for t in tensors]})
    return [{"given": arrays}, *rows]


def _plateau() -> dict[str, Any]:
    values = [3.0, 2.0, 2.0, 1.99, 2.1, 2.2, *[1.0] * 5, 0.995, *[1.0] * 9]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    scheduler, rates = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **PLATEAU), []
    for value in values:
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step(value)
    return {"lr": 0.1, "options": PLATEAU, "values": values, "rates": rates}


def _signatures() -> dict[str, list[Any]]:
    """name -> its arguments and defaults in order; None, too, where there is no default."""
    homes = {**dict.fromkeys(OPTIMIZERS, torch.optim), **dict.fromkeys(SCHEDULERS, torch.optim.lr_scheduler)}
    homes |= dict.fromkeys(("clip_grad_norm_", "clip_grad_value_"), torch.nn.utils)
    found = {}
    for name, home in homes.items():
        arguments = inspect.signature(getattr(home, name)).parameters.values()
        found[name] = [[a.name, None if a.default is a.empty else a.default] for a in arguments]
    return found


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists of numbers."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value
