"""jaxdict: the dictionary of deep learning that runs.

Rooms are imported when they are first used, so that ``import jaxdict`` stays light.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from jaxdict import (
        activations,
        augment,
        backprop,
        callbacks,
        checkpoint,
        compat,
        config,
        contact_sheet,
        data,
        dictionary,
        distributions,
        ensemble,
        estimators,
        history,
        initializers,
        inspection,
        lanes,
        layers,
        losses,
        metrics,
        models,
        noise,
        normalization,
        optimizers,
        penalties,
        plots,
        port,
        race,
        runner,
        schedules,
        train,
        transfer,
        tune,
        units,
    )
    from jaxdict._versions import show_versions
    from jaxdict.dictionary import entries, lookup, search
    from jaxdict.lanes import Runs, fit_lanes
    from jaxdict.runner import Run, fit, load_run
    from jaxdict.train import observers

_ROOMS = (
    "activations", "augment", "backprop", "callbacks", "checkpoint", "compat", "config", "contact_sheet", "data",
    "dictionary", "distributions", "ensemble", "estimators", "history", "initializers", "inspection", "lanes",
    "layers", "losses", "metrics", "models", "noise", "normalization", "optimizers", "penalties", "plots", "port",
    "race", "runner", "schedules", "train", "transfer", "tune", "units",
)  # fmt: skip
_HOMES = {
    "entries": "dictionary", "lookup": "dictionary", "search": "dictionary", "Run": "runner", "fit": "runner",
    "Runs": "lanes", "fit_lanes": "lanes", "load_run": "runner", "observers": "train", "show_versions": "_versions",
}  # fmt: skip

__all__ = [
    "Run", "Runs", "activations", "augment", "backprop", "callbacks", "checkpoint", "compat", "config",
    "contact_sheet", "data", "dictionary", "distributions", "ensemble", "entries", "estimators", "fit", "fit_lanes",
    "history", "initializers", "inspection", "lanes", "layers", "load_run", "lookup", "losses", "metrics", "models",
    "noise", "normalization", "observers", "optimizers", "penalties", "plots", "port", "race",
    "runner", "schedules", "search", "show_versions", "train", "transfer", "tune", "units",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"jaxdict.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"jaxdict.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jaxdict' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
