"""What PyTorch computed, recorded by ``benchmarks/parity_torch.py --record``, and how jaxdict is asked for the same."""

import functools
import json
from pathlib import Path

import numpy as np

from jaxdict.compat.torch import optim

FUNCTIONS = {"inverse": lambda t: 1 / (1 + 0.1 * t), "shrink": lambda t: 1 - 0.5 / (t + 2)}


@functools.cache
def recorded():
    return json.loads((Path(__file__).parent / "recorded" / "torch_optimizers.json").read_text())


def gradients():
    """Start and gradients of the recorded runs, as the record says that they were drawn."""
    rng = np.random.default_rng(0)
    return rng.normal(size=6), rng.normal(size=(50, 6)) * np.asarray([1e-5, 1e-2, 0.3, 1, 3, 30])


def scheduler(spec, lr):
    """The scheduler that a record names, with torch's arguments."""
    name, options = spec[0], dict(spec[1])
    if "schedulers" in options:
        options["schedulers"] = [scheduler(part, lr) for part in options["schedulers"]]
    if "lr_lambda" in options:
        options["lr_lambda"] = FUNCTIONS[options["lr_lambda"]]
    if name not in ("CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"):
        options["lr"] = lr
    return getattr(optim.lr_scheduler, name)(**options)


def optimizer(name, options, spec=None):
    """The optimizer that a record names; a cycle moves momentum or the first beta too, as in torch."""
    options = dict(options)
    if spec is not None:
        options["lr"] = schedule = scheduler(spec, options["lr"])
        if schedule.momentum is not None and name == "SGD":
            options["momentum"] = schedule.momentum
        elif schedule.momentum is not None:
            options["betas"] = (schedule.momentum, 0.999)
    return getattr(optim, name)(**options)
