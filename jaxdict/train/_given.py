"""Hyperparameters by name: what a function takes of them, and the function with them filled in."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxdict.train.outputs import OutputLosses


def matching(function: Callable, hyperparameters: Mapping[str, Any], *, skip: int = 0) -> dict[str, Any]:
    """Those hyperparameters that ``function`` takes by name, its first ``skip`` parameters apart."""
    if isinstance(function, OutputLosses):
        taken = {name: hyperparameters[name] for name in function.weight_names if name in hyperparameters}
        for _, loss in function.losses:
            taken |= matching(loss, hyperparameters, skip=skip)
        return taken
    try:
        parameters = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        return {}
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return dict(hyperparameters)
    takes = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return {name: value for name, value in hyperparameters.items() if name in takes}


def fill(function: Callable, hyperparameters: Mapping[str, Any], *, skip: int) -> Callable:
    """``function`` with its matching hyperparameters filled in."""
    if isinstance(function, OutputLosses):
        losses = tuple((name, fill(loss, hyperparameters, skip=skip)) for name, loss in function.losses)
        return OutputLosses(losses).weighted(hyperparameters)
    options = matching(function, hyperparameters, skip=skip)
    return functools.partial(function, **options) if options else function
