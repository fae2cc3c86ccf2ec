"""Ensembles from files."""

import os
from typing import Any

import jax
import numpy as np
import optax

from jaxdict import _check, checkpoint
from jaxdict import run as run_room
from jaxdict.ensemble._models import bound
from jaxdict.ensemble.members import Ensemble, Member
from jaxdict.intake import outputs_of, shape_of
from jaxdict.models import as_model, spec_from_json
from jaxdict.runner import is_builder
from jaxdict.train.outputs import loaded_metrics, streams_of
from jaxdict.train.segment import Plan
from jaxdict.train.step import PRECISIONS


def load(path: str | os.PathLike[str], *, model: Any = None, loss: Any = None, metrics: Any = None) -> Ensemble:
    """The ensemble saved at ``path``, which gives the same predictions bit for bit.

    Args:
      path: what `Ensemble.save` wrote.
      model: the model, where it was not made of dictionary names or hyperparameters differ in it. loss: likewise.
      metrics: those of `Ensemble.evaluate` when not given there; the saved ones that the dictionary holds when None.

    Returns:
      The Ensemble, without its runs.

    Raises:
      CheckpointError: a missing, damaged or foreign file, or another model's. ValueError: the model or loss must be
        given. KeyError: an unknown name.
    """
    about = checkpoint.read_metadata(path)
    if about.get("kind") != "ensemble":
        raise checkpoint.CheckpointError(f"{path} holds no ensemble")
    if model is None and about["model"] is None:
        raise ValueError(f"the model of {path} was not made of dictionary names alone; give it as model=…")
    found = run_room._known_loss(loss, about["loss"], path)
    model = spec_from_json(about["model"]) if model is None else model if is_builder(model) else as_model(model)
    example, count, types = run_room._structs(about["inputs"]), about["members"], about["types"]
    names = [name.split("/")[1] for name in types if name.startswith("hyperparameters/")]
    numbers = {name: jax.ShapeDtypeStruct((), types[f"hyperparameters/{name}"]) for name in names}

    def start(key, own):
        params, state, _ = bound(model, own).init(key, shape_of(example))
        return {"params": params, "state": state, "hyperparameters": own}

    def stacked(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return jax.ShapeDtypeStruct((count, *leaf.shape), types.get(name, leaf.dtype))

    like = jax.tree_util.tree_map_with_path(stacked, jax.eval_shape(start, jax.random.key(0), numbers))
    if about["sample"] is not None:
        like["indices"] = jax.ShapeDtypeStruct((count, about["sample"]), np.int32)
    tree, _ = checkpoint.read(path, like)
    first = {name: tree["hyperparameters"][name][0].item() for name in names}
    chosen = loaded_metrics(about["metrics"]) if metrics is None else metrics
    streams = streams_of(chosen, loss=found, outputs=outputs_of(bound(model, first), example))
    plan = Plan(
        model=model, loss=found, optimizer=optax.identity(), penalty=None, augment=None,
        streams=tuple(streams.items()), observers=(), batch_size=1, by_count=True,
        precision=_check.one_of("precision", about["precision"], [None, *PRECISIONS]), accumulation=1,
        masked_tail=False,
    )  # fmt: skip
    return Ensemble(
        Member(tree["params"], tree["state"]), plan=plan, example=example, hyperparameters=tree["hyperparameters"],
        indices=tree.get("indices"), examples=about["examples"],
    )  # fmt: skip


__all__ = ["load"]
