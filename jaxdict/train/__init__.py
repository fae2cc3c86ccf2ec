"""Training as pure functions: the step, the observers carried inside a run, and the compiled segment."""

from jaxdict.train import observers
from jaxdict.train.step import Batch, TrainState, make_step

__all__ = ["Batch", "TrainState", "make_step", "observers"]
