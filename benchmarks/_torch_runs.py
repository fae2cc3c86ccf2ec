"""Runs of torch's optimizers and schedulers on given gradients, and the same by jaxdict's, for comparison."""

import functools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from jaxdict.compat.torch import optim

FUNCTIONS = {"inverse": lambda t: 1 / (1 + 0.1 * t), "shrink": lambda t: 1 - 0.5 / (t + 2)}
OWN_RATE = ("CyclicLR", "OneCycleLR")  # they set the base rate themselves
Spec = tuple[str, Mapping[str, Any]]  # a scheduler's name and arguments; those of compositions hold specs


def torch_scheduler(spec: Spec, optimizer: torch.optim.Optimizer) -> Any:
    """The scheduler in torch."""
    name, options = spec[0], dict(spec[1])
    make = getattr(torch.optim.lr_scheduler, name)
    if "schedulers" in options:
        parts = [torch_scheduler(part, optimizer) for part in options.pop("schedulers")]
        return make(parts, optimizer) if name == "ChainedScheduler" else make(optimizer, parts, **options)
    if "lr_lambda" in options:
        options["lr_lambda"] = FUNCTIONS[options["lr_lambda"]]
    return make(optimizer, **options)


def our_scheduler(spec: Spec, lr: float) -> optim.lr_scheduler.LRScheduler:
    """The scheduler in jaxdict."""
    name, options = spec[0], dict(spec[1])
    make = getattr(optim.lr_scheduler, name)
    if "schedulers" in options:
        parts = [our_scheduler(part, lr) for part in options.pop("schedulers")]
        return make(parts, **options)
    if "lr_lambda" in options:
        options["lr_lambda"] = FUNCTIONS[options["lr_lambda"]]
    return make(**options) if name in OWN_RATE else make(lr, **options)


def torch_scheduler_memory(spec: Spec, lr: float, steps: int) -> dict[str, Any]:
    """The scheduler's state_dict after ``steps`` steps."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr, momentum=0.9)
    scheduler = torch_scheduler(spec, optimizer)
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
    return scheduler.state_dict()


def torch_optimizer(name: str, options: Mapping[str, Any], params: Sequence[Any]) -> torch.optim.Optimizer:
    """One tensor at a time, whose arithmetic is the one that torch documents."""
    return getattr(torch.optim, name)(params, foreach=False, **options)


def torch_rates(spec: Spec, lr: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Rate and momentum before each step."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr, momentum=0.9)
    scheduler, rows = torch_scheduler(spec, optimizer), []
    for _ in range(steps):
        rows.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own call of the deprecated epoch argument in SequentialLR
            scheduler.step()
    rates, momenta = np.asarray(rows).T
    return rates, momenta


def torch_run(
    name: str, options: Mapping[str, Any], spec: Spec | None, start: np.ndarray, gradients: np.ndarray
) -> np.ndarray:
    """The parameters after every step, ``(steps, n)``."""
    p = torch.tensor(start, requires_grad=True)
    optimizer = torch_optimizer(name, options, [p])
    scheduler = None if spec is None else torch_scheduler(spec, optimizer)
    path = torch.empty(gradients.shape, dtype=p.dtype)
    for i, g in enumerate(torch.tensor(gradients).unbind()):
        p.grad = g
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        path[i] = p.detach()
    return path.numpy()


def our_optimizer(name: str, flags: Mapping[str, Any], numbers: Mapping[str, Any], lr: Any) -> optim.Optimizer:
    """The optimizer in jaxdict, from options that may be traced."""
    return getattr(optim, name)(lr=lr, **flags, **numbers)


@functools.cache
def our_runs(name: str, flags: tuple[tuple[str, Any], ...]) -> Any:
    """Many runs in one program: ``(numbers, rates, start, gradients) -> (runs, steps, n)``."""

    def run(numbers, rates, start, gradients):
        optimizer = our_optimizer(name, dict(flags), numbers, lambda count: rates[count])

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.update(g, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (start, optimizer.init(start)), gradients)[1]

    return jax.jit(jax.vmap(run))


@functools.cache
def our_segment(name: str, flags: tuple[tuple[str, Any], ...]) -> Any:
    """A part of one run, from a state: ``(numbers, rates, params, state, gradients) -> (params, state)``."""

    def run(numbers, rates, params, state, gradients):
        optimizer = our_optimizer(name, dict(flags), numbers, lambda count: rates[count])

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.update(g, state, params)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), gradients)[0]

    return jax.jit(run)


def stacked(rows: Sequence[Any]) -> Any:
    """Trees of numbers as one tree of arrays."""
    return jax.tree.map(lambda *leaves: jnp.asarray(np.asarray(leaves)), *rows)
