"""Ensembles: several models of one kind whose predictions are averaged or put to the vote."""

from jaxdict.ensemble.combine import ErrorLaw, average, error_law, vote
from jaxdict.ensemble.files import load
from jaxdict.ensemble.members import Ensemble, Member
from jaxdict.ensemble.training import bagging, seeds, snapshots

__all__ = [
    "Ensemble", "ErrorLaw", "Member", "average", "bagging", "error_law", "load", "seeds", "snapshots", "vote",
]  # fmt: skip
