"""Configs: a TOML file to a checked ``Config``, that to an ``Experiment``, that to a run in a folder of its own.

Conventions of the room. A mistake is one line that names the key, the value and what is allowed, and it is found before
anything is written. Names are the dictionary's. A resolved config says all that was decided from the data, and loads
back equal.
"""

from jaxdict.config.experiment import Experiment, build, prepare, prepare_inputs
from jaxdict.config.folder import OpenRun, check_folder, evaluate, open_run, predict, read_inputs, read_result, run
from jaxdict.config.schema import Config, ConfigError, load, parse
from jaxdict.config.sweep import Sweep, load_sweep, run_sweep

__all__ = [
    "Config", "ConfigError", "Experiment", "OpenRun", "Sweep", "build", "check_folder", "evaluate", "load",
    "load_sweep", "open_run", "parse", "predict", "prepare", "prepare_inputs", "read_inputs", "read_result", "run",
    "run_sweep",
]  # fmt: skip
