"""Output units: what a network's outputs z mean as a distribution of the targets, and all that follows from it.

A unit ties the loss (the negative log likelihood), the prediction, samples and the likelihood itself together. Where
the unit is the distribution's own, the loss has the gradient that the sources call the error: ∂L/∂z is the prediction
minus the target, over the variance where there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxdict import _check, _registry, losses
from jaxdict import activations as _activations  # noqa: F401  (its entries are found by name)
from jaxdict._cache import constructor


@dataclass(frozen=True, eq=False)
class OutputUnit:
    """A distribution of targets given a network's outputs ``z``, ``(…, n)``.

    Attributes:
      name: as ``output_unit`` knows it.
      loss: ``(z, targets) -> (…)``, what ``fit`` takes as its loss.
      mean: ``z -> (…, n)``, the expected target: means, or probabilities.
      mode: ``z ->`` the likeliest target, of the targets' shape: means, 0 or 1, or the class.
      sample: ``(key, z) ->`` targets drawn from the distribution; the key may be an int seed.
      log_likelihood: ``(z, targets) -> (…)``, the logarithm of their density or probability, constants included.
    """

    name: str
    loss: Callable[[Any, Any], jax.Array]
    mean: Callable[[Any], jax.Array]
    mode: Callable[[Any], jax.Array]
    sample: Callable[[Any, Any], jax.Array]
    log_likelihood: Callable[[Any, Any], jax.Array]

    def __repr__(self) -> str:
        return f"<OutputUnit {self.name}>"


@constructor
def gaussian(*, variance: float = 1.0, output: str | Callable = "linear") -> OutputUnit:
    """Real targets, independent and normal around ``f(z)``: the linear-Gaussian unit where f is the identity.

    Args:
      variance: of every element, above 0; a number or a traced scalar.
      output: the activation f, a name or function: "softplus" or "relu" for positive means, "sigmoid" or "tanh" for
        bounded ones. A model that ends with it itself needs "linear".

    Returns:
      An ``OutputUnit``; targets ``(…, n)`` floating. With the defaults its loss is ``jaxdict.losses.gaussian_nll``.

    Raises:
      ValueError: a variance that is not above 0. KeyError: an unknown activation.
    """
    variance = _check.scalar("variance", variance, above=0)
    f = _registry.function(output, "activation")
    identity = f is _registry.function("linear", "activation")

    def loss(z, targets):
        return losses.gaussian_nll(f(z), targets, variance=variance)

    def log_likelihood(z, targets):
        return -losses.gaussian_nll(f(z), targets, variance=variance, full=True)

    def sample(key, z):
        center = f(z)
        noise = jax.random.normal(_check.prng_key(key), center.shape, center.dtype)
        return center + variance**0.5 * noise

    name = "linear_gaussian" if identity else f"gaussian around {getattr(f, '__name__', 'a function')}"
    plain = identity and not _check.is_traced(variance) and variance == 1
    return OutputUnit(name, losses.gaussian_nll if plain else loss, f, f, sample, log_likelihood)


@constructor
def bernoulli() -> OutputUnit:
    """Yes-or-no targets, independent, with probability ``sigmoid(z)``: the sigmoid unit, one or several labels.

    Returns:
      An ``OutputUnit``; targets ``(…, n)``, 0 or 1, samples int32. Its loss is ``sigmoid_cross_entropy``.
    """
    sigmoid = _registry.function("sigmoid", "activation")

    def mode(z):
        return (jnp.asarray(z) >= 0).astype(jnp.int32)

    def sample(key, z):
        return jax.random.bernoulli(_check.prng_key(key), sigmoid(z)).astype(jnp.int32)

    def log_likelihood(z, targets):
        return -losses.sigmoid_cross_entropy(z, targets)

    return OutputUnit("sigmoid", losses.sigmoid_cross_entropy, sigmoid, mode, sample, log_likelihood)


@constructor
def categorical() -> OutputUnit:
    """One class of n, with probabilities ``softmax(z)``: the softmax unit.

    Returns:
      An ``OutputUnit``; targets ``(…)``, integer classes, samples int32. Its loss is ``sparse_softmax_cross_entropy``.
    """

    def mode(z):
        return jnp.argmax(jnp.asarray(z), axis=-1).astype(jnp.int32)

    def sample(key, z):
        return jax.random.categorical(_check.prng_key(key), jnp.asarray(z)).astype(jnp.int32)

    def log_likelihood(z, targets):
        return -losses.sparse_softmax_cross_entropy(z, targets)

    softmax = _registry.function("softmax", "activation")
    return OutputUnit("softmax", losses.sparse_softmax_cross_entropy, softmax, mode, sample, log_likelihood)


_NAMES: dict[str, Callable[..., OutputUnit]] = {
    **dict.fromkeys(("linear_gaussian", "gaussian", "regression"), gaussian),
    **dict.fromkeys(("sigmoid", "bernoulli", "binary", "multilabel"), bernoulli),
    **dict.fromkeys(("softmax", "categorical", "multiclass"), categorical),
}


def output_unit(name: str, **options: Any) -> OutputUnit:
    """The output unit called so: by its activation, its distribution, or its task.

    Args:
      name: "linear_gaussian", "gaussian" or "regression"; "sigmoid", "bernoulli", "binary" or "multilabel";
        "softmax", "categorical" or "multiclass". Case, spaces, hyphens and underscores do not matter.
      **options: the unit's own: ``variance`` and ``output`` of the first.

    Returns:
      An ``OutputUnit``, the same object for equal arguments.

    Raises:
      ValueError: an unknown name, with the closest. TypeError: an option that the unit does not have.
    """
    folded = {_check.fold(known): made for known, made in _NAMES.items()}
    if not isinstance(name, str) or _check.fold(name) not in folded:
        raise ValueError(f"no output unit is called {name!r}; {_check.did_you_mean(str(name), _NAMES)}")
    return folded[_check.fold(name)](**options)


__all__ = ["OutputUnit", "bernoulli", "categorical", "gaussian", "output_unit"]
