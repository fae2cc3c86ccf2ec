"""The Ensemble: members stacked on a first axis, computed by one program, answering as one model."""

import dataclasses
import functools
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxdict import __version__, _check, checkpoint
from jaxdict import data as data_room
from jaxdict import run as run_room
from jaxdict.ensemble._models import GIVEN, averaging, beside, bound, unit_of
from jaxdict.ensemble.combine import pool, vote
from jaxdict.intake import Fit, outputs_of, shape_of
from jaxdict.layers import Model
from jaxdict.losses import weights_of
from jaxdict.models import spec_to_json
from jaxdict.run import Run
from jaxdict.runner import pair
from jaxdict.train.outputs import saved_metrics, streams_of
from jaxdict.train.segment import RUNNING, Carry, Plan, count_of, matching, program
from jaxdict.train.step import Batch, TrainState, fill


class Member(NamedTuple):
    """One member's parameters and model state."""

    params: Any
    state: Any


class Ensemble:
    """Models of one kind, side by side; what they say together is the average of their predictions, not of weights.

    Where the loss is a cross entropy of logits, probabilities are averaged: the mixture of the members' distributions,
    whose loss is never above the members' mean. Logits are not: they are known up to a shift only, and the largest
    would outvote all others. The raw output is then the logit of the averaged probability (its logarithm for softmax),
    so that it suits loss and metrics as a member's does. For every other loss raw outputs are averaged as they are.

    Attributes:
      params, state: the members', each leaf with the members on its first axis.
      hyperparameters: by name, ``(members,)``.
      model: the Model, or the function of hyperparameters that gives a member's.
      runs: the runs that the members came from, a single one for snapshots; () after loading.
      indices: ``(members, m)`` int32 positions of the examples that each was trained on, where `bagging` drew them.
      examples: how many they were drawn from.
    """

    def __init__(
        self,
        members: Member,
        *,
        plan: Plan,
        example: Any,
        hyperparameters: Mapping[str, Any],
        runs: Iterable[Run] = (),
        indices: Any = None,
        examples: int | None = None,
    ):
        """Members of the model in ``plan``, for inputs like ``example``; `Ensemble.of` is the usual way.

        Args:
          members: their parameters and state, stacked as `stack` does.
          plan: what is static about a run of them: model, loss, metrics, precision.
          example: shapes and dtypes of a batch of one.
          hyperparameters: by name, ``(members,)`` numbers, for the model and the loss.
          runs, indices, examples: see the class.
        """
        self.params, self.state = members
        self.model: Any = plan.model
        self.plan = dataclasses.replace(
            plan, optimizer=optax.identity(), penalty=None, augment=None, observers=(), accumulation=1
        )
        self.hyperparameters = {name: jnp.asarray(values) for name, values in hyperparameters.items()}
        self.runs = tuple(runs)
        self.indices = None if indices is None else np.asarray(indices, np.int32)
        self.examples = examples
        self._count, self._example, self._shape = count_of(members), example, shape_of(example)
        self._unit = unit_of(plan.loss)
        first = {name: values[0].item() for name, values in self.hyperparameters.items()}
        self._fits = Fit(fill(plan.loss, first, skip=2), outputs_of(bound(plan.model, first), example))

    @classmethod
    def of(cls, runs: Iterable[Run], **sample: Any) -> "Ensemble":
        """The ensemble of runs of one model: what `fit_lanes` gives, or several of `fit` or `load_run`.

        Args:
          runs: Runs, with the parameters that each would predict with. A warning tells of those that diverged.
          sample: ``indices`` and ``examples``, where the runs are of samples of the data: see the class.

        Returns:
          The Ensemble, in the order of the runs.

        Raises:
          TypeError: something that is no Run.
          ValueError: no runs, or runs of different models, losses, precisions, or names of hyperparameters.
        """
        runs = list(runs)
        for run in runs:
            if not isinstance(run, Run):
                raise TypeError(f"an ensemble is made of runs; got {type(run).__name__}")
        if not runs:
            raise ValueError("an ensemble needs at least one run; got none")
        first = runs[0]
        # Models differ where hyperparameters reach them; then the function that makes them is what members share.
        one = all(run.model is first.model for run in runs)
        model = first.model if one else first.plan.model
        for number, run in enumerate(runs):
            if not one and run.model is not first.model and (isinstance(model, Model) or run.plan.model != model):
                raise ValueError(f"run {number} has another model than run 0: {run.model!r}, not {first.model!r}")
            for what, own, others in (
                ("loss", run.plan.loss, first.plan.loss),
                ("precision", run.plan.precision or "float32", first.plan.precision or "float32"),
                ("input shape", run.input_shape, first.input_shape),
                ("set of hyperparameters", sorted(run.hyperparameters), sorted(first.hyperparameters)),
            ):
                if own != others:
                    raise ValueError(f"run {number} has another {what} than run 0: {own!r}, not {others!r}")
        diverged = [str(number) for number, run in enumerate(runs) if run.result == "diverged"]
        if diverged:
            who = f"of {len(runs)} members, {', '.join(diverged)} diverged"
            warnings.warn(f"{who}: they are as before the epoch that did", RuntimeWarning, stacklevel=2)
        return cls(
            stack([Member(run.params, run.state) for run in runs]),
            plan=dataclasses.replace(first.plan, model=model),
            example=first._job.example,
            hyperparameters={
                name: jnp.stack([jnp.asarray(run.hyperparameters[name]) for run in runs])
                for name in first.hyperparameters
            },
            runs=runs,
            **sample,
        )

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """A Member, counted from the end where the index is negative, or the Ensemble of a slice.

        Args:
          index: an integer, or a slice.

        Returns:
          ``Member(params, state)``, or an Ensemble.

        Raises:
          IndexError: no such member. ValueError: an empty slice.
        """
        members = Member(self.params, self.state)
        if not isinstance(index, slice):
            if not -len(self) <= index < len(self):
                raise IndexError(f"the ensemble has {len(self)} members; got the index {index}")
            return _pick(members, index)
        if not range(len(self))[index]:
            raise ValueError(f"an ensemble needs at least one member; got {index} of {len(self)}")
        return Ensemble(
            jax.tree.map(lambda leaf: leaf[index], members),
            plan=self.plan,
            example=self._example,
            hyperparameters={name: values[index] for name, values in self.hyperparameters.items()},
            runs=self.runs[index] if len(self.runs) == len(self) else self.runs,
            indices=None if self.indices is None else self.indices[index],
            examples=self.examples,
        )

    def __iter__(self) -> Iterator[Member]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<Ensemble of {len(self)}: {self.model!r}>"

    # ------------------------------------------------------------------------------------------ predictions

    def predict(self, inputs: Any, *, output: str = "raw", combine: str = "average") -> jax.Array:
        """What all members say together, by one program, in batches.

        Args:
          inputs: ``(n, …)`` as in training.
          output: "raw", "probabilities" or "classes", as in ``Run.predict``. "probabilities" are the averages of the
            members'; "raw" is what the class says.
          combine: "average", or "vote" for the class that most members choose, the lowest where several are chosen
            by as many.

        Returns:
          ``(n, …)``, float32 at least; classes int32 ``(n,)``.

        Raises:
          ValueError: inputs of another shape, an unknown choice, an output that the loss does not define, a vote on
            something else than classes.
        """
        if _check.one_of("combine", combine, ["average", "vote"]) == "average":
            return self._as_run(averaging(self.model, self._unit)).predict(inputs, output=output)
        if output != "classes":
            raise ValueError(f"a vote gives classes: output='classes'; got output={output!r}")
        classes = self.predictions(inputs, output="classes")
        outputs = self._fits.outputs
        return jax.tree.map(  # of several outputs, those whose loss is on logits
            lambda labels, out: vote(labels, classes_count=max(2, out.shape[-1])),
            classes,
            {name: outputs[name] for name in classes} if isinstance(classes, dict) else outputs,
        )

    def predictions(self, inputs: Any, *, output: str = "raw") -> Any:
        """What each member says, by one program, in batches.

        Args:
          inputs: ``(n, …)`` as in training. output: as in ``Run.predict``.

        Returns:
          ``(members, n, …)``; classes int32 ``(members, n)``.

        Raises:
          ValueError: as ``Run.predict``.
        """
        values = self._as_run(beside(self.model)).predict(inputs, output=output)
        return jax.tree.map(lambda v: jnp.moveaxis(v, 1, 0), values)

    def evaluate(self, data: Any, *, metrics: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """Loss and metrics of what the members say together, beside the means of their own.

        Args:
          data: ``(inputs, targets)`` or a Dataset.
          metrics: names or functions; those of the runs when None.
          sample_weight: ``(n,)``, weighs the loss.

        Returns:
          By name, ``loss`` first: the averaged prediction's; then ``member_loss`` and so on, the mean over the members.
          Floats, arrays where a metric gives one.

        Raises:
          ValueError: data that does not fit the model or the loss; a loss whose numbers differ by member.
        """
        inputs, targets = data_room.check(*pair(data)[:2])
        score, batch = self._scorer(targets, metrics, sample_weight)
        self._numbers_of_the_loss()
        raw = self.predictions(inputs)
        # The average is scored beside the members, as one more.
        every = jax.tree.map(lambda each, one: jnp.concatenate([each, one[None]]), raw, pool(raw, self._unit))
        numbers = {name: jnp.append(values, values[0]) for name, values in self.hyperparameters.items()}
        rows = jax.vmap(lambda raw, own: score(batch._replace(inputs=raw), own))(every, numbers)
        rows = _loss_first(jax.device_get(rows))
        together = {name: _number(values[-1]) for name, values in rows.items()}
        return together | {f"member_{name}": _number(np.mean(values[:-1], axis=0)) for name, values in rows.items()}

    def _numbers_of_the_loss(self) -> dict[str, jax.Array]:
        """The hyperparameters that the loss takes; a ValueError where they differ by member."""
        own = {name: self.hyperparameters[name] for name in matching(self.plan.loss, self.hyperparameters, skip=2)}
        for name, values in own.items():
            if np.any(np.asarray(values) != np.asarray(values)[0]):
                raise ValueError(f"the loss takes {name!r}, which differs by member, so that the average has no loss")
        return {name: values[0] for name, values in own.items()}

    def _scorer(self, targets: Any, metrics: Any, sample_weight: Any = None) -> tuple[Any, Batch]:
        """``(batch of raw outputs, hyperparameters) -> row``, and the batch but for its inputs."""
        targets = self._fits(targets, "data")
        weights = None if sample_weight is None else weights_of(sample_weight, None, None, count_of(targets))
        chosen = None if metrics is None else streams_of(metrics, loss=self.plan.loss, outputs=self._fits.outputs)
        streams = self.plan.streams if chosen is None else tuple(chosen.items())
        plan = dataclasses.replace(self.plan, model=GIVEN, streams=streams, precision=None)
        return functools.partial(program(plan).evaluate, TrainState({}, {}, ())), Batch(None, targets, weights)

    def _as_run(self, model: Model) -> Run:
        """A finished run of ``model``, which takes the stacked members: it predicts as every run does."""
        plan = dataclasses.replace(self.plan, model=model)
        run = Run(SimpleNamespace(model=model, plan=plan, epochs=0, input_shape=self._shape, hyperparameters={}))
        # Hyperparameters go with the state, which keeps its type where parameters are cast to bfloat16.
        train = TrainState(self.params, (self.state, self.hyperparameters), ())
        run.update(Carry(train, jnp.int32(0), (), {}, jnp.int32(RUNNING)))
        run.result = "done"
        return run

    # ----------------------------------------------------------------------------------------- out of bag

    @property
    def oob_indices(self) -> list[np.ndarray]:
        """For each member the positions of the examples that its bootstrap sample left out, ascending.

        Raises:
          ValueError: the members are of no samples.
        """
        return [np.flatnonzero(left_out) for left_out in self._left_out()]

    def oob_predictions(self, inputs: Any, *, output: str = "raw") -> jax.Array:
        """Each example's average over the members that were not trained on it: honest, without held-out data.

        Args:
          inputs: ``(n, …)``, all examples that the samples were drawn from, in their order.
          output: "raw" or "probabilities", as in `predict`.

        Returns:
          ``(n, …)``; NaN where every member was trained on the example.

        Raises:
          ValueError: the members are of no samples; another number of examples, another output.
        """
        _check.one_of("output", output, ["raw", "probabilities"])
        unit = run_room._output_unit(self.plan.loss, output)
        raw = pool(self.predictions(inputs), self._unit, self._chosen(inputs))
        return raw if unit is None else unit(raw)

    def oob_score(self, data: Any, *, metrics: Any = None) -> dict[str, Any]:
        """Loss and metrics of `oob_predictions`, over the examples that some member was not trained on.

        Args:
          data: ``(inputs, targets)`` or the Dataset that the samples were drawn from.
          metrics: names or functions; those of the runs when None.

        Returns:
          By name, ``loss`` first, as `evaluate`; ``coverage`` last, the share of examples that it is over.

        Raises:
          ValueError: as `oob_predictions` and `evaluate`; every member was trained on every example.
        """
        inputs, targets = data_room.check(*pair(data)[:2])
        chosen = self._chosen(inputs)
        over = np.flatnonzero(np.any(np.asarray(chosen), axis=0))
        if not len(over):
            raise ValueError("every member was trained on every example: nothing is out of bag")
        score, batch = self._scorer(jax.tree.map(lambda y: y[over], targets), metrics)
        raw = jax.tree.map(lambda v: v[:, over], self.predictions(inputs))
        row = score(batch._replace(inputs=pool(raw, self._unit, chosen[:, over])), self._numbers_of_the_loss())
        scores = {name: _number(value) for name, value in _loss_first(row).items()}
        return scores | {"coverage": len(over) / count_of(inputs)}

    def _left_out(self) -> np.ndarray:
        """Whether a member was not trained on an example, bool ``(members, examples)``."""
        if self.indices is None or self.examples is None:
            raise ValueError("only an ensemble by bagging has examples out of bag")
        left_out = np.ones((len(self), self.examples), bool)
        np.put_along_axis(left_out, self.indices, False, axis=1)
        return left_out

    def _chosen(self, inputs: Any) -> jax.Array:
        """1 where a member may speak of an example, float32 ``(members, n)``."""
        left_out = self._left_out()
        if count_of(inputs) != self.examples:
            raise ValueError(f"give the {self.examples} examples that samples were drawn from; got {count_of(inputs)}")
        return jnp.asarray(left_out, jnp.float32)

    # ---------------------------------------------------------------------------------------------- files

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the ensemble to ``path``, one safetensors file, atomically; see `load`.

        Args:
          path: by custom ``….safetensors``; its folder is made when missing.

        Returns:
          The path.

        Raises:
          OSError: the file cannot be written. ModuleNotFoundError: safetensors is not installed.
        """
        return checkpoint.save(path, self)

    def __checkpoint__(self) -> tuple[Any, dict[str, Any]]:
        tree = {"params": self.params, "state": self.state, "hyperparameters": self.hyperparameters}
        if self.indices is not None:
            tree["indices"] = self.indices
        return tree, {
            "kind": "ensemble",
            "members": len(self),
            "examples": self.examples,
            "sample": None if self.indices is None else self.indices.shape[1],
            "inputs": run_room._plain(self._example),
            "model": spec_to_json(self.model) if isinstance(self.model, Model) else None,
            "loss": run_room._loss_name(self.plan.loss),
            "metrics": saved_metrics(self.plan.streams),
            "precision": self.plan.precision,
            "types": {name: leaf.dtype.name for name, leaf in _by_name(tree).items()},
            "jaxdict": __version__,
        }


def _by_name(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def stack(members: Sequence[Member]) -> Member:
    """Members of one model as one, each leaf with the members on a first axis; ValueError for other shapes."""
    for number, member in enumerate(members):
        if _shapes(member) != _shapes(members[0]):
            raise ValueError(f"member {number} has parameters of other shapes than member 0: not the same model")
    return _stack(list(members))


@jax.jit
def _stack(members: list[Member]) -> Member:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


@jax.jit
def _pick(members: Member, index: jax.Array) -> Member:
    return jax.tree.map(lambda leaf: leaf[index], members)


def _shapes(tree: Any) -> Any:
    return jax.tree.structure(tree), [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _loss_first(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same row, which compiled code sorted by name."""
    return {"loss": row["loss"], **row}


def _number(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


__all__ = ["Ensemble", "Member", "stack"]
