"""Members as one model: side by side or averaged, by one program; and what their loss says of their outputs."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import run as run_room
from jaxdict.ensemble.combine import pool
from jaxdict.layers import Model
from jaxdict.models import as_model
from jaxdict.train.outputs import OutputLosses
from jaxdict.train.segment import matching


def bound(model: Any, hyperparameters: Mapping[str, Any]) -> Model:
    """The Model, with the hyperparameters that a function of them takes."""
    return model if isinstance(model, Model) else as_model(model(**matching(model, hyperparameters)))


def _each(model: Any, params: Any, state: Any, inputs: Any) -> Any:
    """The outputs of every member, on a first axis; the state holds the members' and their hyperparameters."""

    def one(params, state, own):
        return bound(model, own).apply(params, state, inputs, key=None, train=False)[0]

    return jax.vmap(one)(params, *state)


@functools.lru_cache(maxsize=64)
def beside(model: Any) -> Model:
    """The members as one model whose outputs are theirs side by side, ``(n, members, …)``."""

    def apply(params, state, inputs, *, key=None, train=False):
        del key, train
        return jax.tree.map(lambda v: jnp.moveaxis(v, 0, 1), _each(model, params, state, inputs)), state

    return Model(_no_init, apply, name="members")


@functools.lru_cache(maxsize=64)
def averaging(model: Any, unit: Any) -> Model:
    """The members as one model that says their average."""

    def apply(params, state, inputs, *, key=None, train=False):
        del key, train
        return pool(_each(model, params, state, inputs), unit), state

    return Model(_no_init, apply, name="ensemble")


def _no_init(key, input_shape):
    raise NotImplementedError("an ensemble is made of trained members")


# Outputs that are there already, as a model: so that they are scored as a model's are.
GIVEN = Model(_no_init, lambda params, state, inputs, *, key=None, train=False: (inputs, state), name="given")


def unit_of(loss: Any) -> Any:
    """What makes probabilities of raw outputs; None for a loss that is not of logits; pairs by name for several."""
    if isinstance(loss, OutputLosses):
        return tuple((name, unit_of(one)) for name, one in loss.losses)
    try:
        return run_room._output_unit(loss, "probabilities")
    except ValueError:
        return None
