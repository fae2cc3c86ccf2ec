"""Threshold units: the training of a perceptron by its own rule, and the gates of McCulloch and Pitts.

No gradient passes a threshold, so ``fit`` learns nothing through it; ``learn_perceptron`` goes by the errors.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxdict import _check
from jaxdict.optimizers import perceptron_rule


def learn_perceptron(
    params: Any, inputs: ArrayLike, targets: ArrayLike, *, epochs: int, learning_rate: Any = 1.0
) -> tuple[Any, jax.Array]:
    """Train a layer of threshold units by ``perceptron_rule``, one example after another.

    On separable examples each unit errs at most (R/γ)² times, however long it goes on, when its weights begin at 0.

    Args:
      params: those of ``jaxdict.layers.perceptron``: ``{"kernel": (n_in, n_out), "bias": (n_out,)}``.
      inputs: ``(examples, n_in)``, taken in this order in every epoch.
      targets: ``(examples, n_out)``, 0 or 1.
      epochs: how often to go through all of them.
      learning_rate: above 0, a number or a traced scalar.

    Returns:
      The new parameters, and the errors of each unit in each epoch, ``(epochs, n_out)`` int32.

    Raises:
      ValueError: shapes that do not fit, parameters of other names, targets that are not 0 or 1, fewer than one epoch,
        or a rate not above 0.
    """
    epochs = _check.integer("epochs", epochs, low=1)
    inputs, targets = _check.floating(inputs, name="inputs"), jnp.asarray(targets)
    if inputs.ndim != 2 or targets.ndim != 2 or len(inputs) != len(targets):
        raise ValueError(
            f"inputs and targets must be (examples, n_in) and (examples, n_out); got {inputs.shape} and {targets.shape}"
        )
    if not _check.is_traced(targets) and not bool(jnp.all((targets == 0) | (targets == 1))):
        raise ValueError("targets must be 0 or 1, what each unit should have said")
    return _learn(params, inputs, targets, _check.scalar("learning_rate", learning_rate, above=0), epochs)


@functools.partial(jax.jit, static_argnames="epochs")
def _learn(params, inputs, targets, learning_rate, epochs):
    def example(params, one):
        x, y = one
        learned = perceptron_rule(params, x, y, learning_rate=learning_rate)
        return learned, (x @ params["kernel"] + params.get("bias", 0) >= 0) != (y > 0)

    def epoch(params, _):
        params, wrong = jax.lax.scan(example, params, (inputs, targets))
        return params, wrong.sum(axis=0, dtype=jnp.int32)

    return jax.lax.scan(epoch, params, length=epochs)


# Name -> for n inputs, the weight of each and how much they must add up to.
_GATES: dict[str, Callable[[int], tuple[float, float]]] = {
    "and": lambda n: (1, n),
    "or": lambda n: (1, 1),
    "majority": lambda n: (1, n // 2 + 1),
    "nand": lambda n: (-1, 1 - n),
    "nor": lambda n: (-1, 0),
}


def threshold_gate(gate: str | int, *, inputs: int = 2) -> dict[str, jax.Array]:
    """The parameters of one threshold unit that computes a gate of inputs 0 and 1.

    Args:
      gate: "and", "or", "majority" (more than half of them), "nand", "nor", "not" (of one input), or a number k: at
        least k of them.
      inputs: how many there are; 1 for "not".

    Returns:
      ``{"kernel": (inputs, 1), "bias": (1,)}`` float32, for ``jaxdict.layers.perceptron(1)``; the threshold lies
      halfway between the sums that it tells apart.

    Raises:
      ValueError: an unknown gate, with the closest names, or a number of inputs that it does not have.
    """
    n = _check.integer("inputs", inputs, low=1)
    if isinstance(gate, str):
        _check.one_of("gate", gate, [*_GATES, "not"])
        if gate == "not" and n != 1:
            raise ValueError(f"not has one input: threshold_gate('not', inputs=1); got {n}")
        weight, least = _GATES["nor" if gate == "not" else gate](n)
    else:
        weight, least = 1, _check.integer("gate", gate, low=0)
    return {"kernel": jnp.full((n, 1), weight, jnp.float32), "bias": jnp.full((1,), 0.5 - least, jnp.float32)}


__all__ = ["learn_perceptron", "threshold_gate"]
