"""Noise as layers: drawn in training, nothing at test time."""

from collections.abc import Callable
from typing import Any

from jaxdict import _check, noise
from jaxdict._entry import entry
from jaxdict.layers._model import Model, buildable, stateless


@entry(
    "layer",
    equation="x*b/(1 - p)",
    aliases=("dropout layer",),
    sources=("S0 5.4", "S3", "S4"),
    symbols={"rate": "p"},
    see_also=("dropout",),
)
@buildable
def dropout(rate: Any, *, broadcast_axes: tuple[int, ...] = (), name: str | None = None) -> Model:
    """Inverted dropout as a layer: in training each unit is 0 with probability ``rate``, the others are scaled up.

    Args:
      rate: the probability of dropping, in [0, 1); may be a traced value.
      broadcast_axes: axes (of the batched input) that share one mask.
      name: the layer's name.

    Returns:
      A layer without parameters, of the input's shape and dtype; the identity outside training.

    Raises:
      ValueError: a rate outside [0, 1), or training without a key.
    """
    return _noisy("dropout", noise.dropout, _check.number("rate", rate, low=0, below=1), broadcast_axes, name)


@entry(
    "layer",
    equation="A = -1.7580993408473766; a = 1/sqrt((1 - p)*(1 + p*A**2)); a*(b*x + (1 - b)*A - p*A)",
    aliases=("alpha dropout layer",),
    sources=("S2 11.1.2", "Klambauer et al. 2017, arXiv:1706.02515"),
    symbols={"rate": "p"},
    see_also=("alpha_dropout", "selu", "dropout"),
)
@buildable
def alpha_dropout(rate: Any, *, broadcast_axes: tuple[int, ...] = (), name: str | None = None) -> Model:
    """Alpha dropout as a layer, behind ``selu``: dropped units take its limit at -inf, mean and variance stay.

    Args:
      rate: the probability of dropping, in [0, 1); may be a traced value.
      broadcast_axes: axes (of the batched input) that share one mask.
      name: the layer's name.

    Returns:
      A layer without parameters, of the input's shape and dtype; the identity outside training.

    Raises:
      ValueError: a rate outside [0, 1), or training without a key.
    """
    return _noisy(
        "alpha_dropout", noise.alpha_dropout, _check.number("rate", rate, low=0, below=1), broadcast_axes, name
    )


@entry(
    "layer",
    equation="x + sigma_*n",
    aliases=("gaussian noise layer",),
    sources=("S0 5.6", "Bishop 1995, doi:10.1162/neco.1995.7.1.108"),
    symbols={"stddev": "sigma_"},
    see_also=("gaussian_noise", "gaussian_dropout"),
)
@buildable
def gaussian_noise(stddev: Any, *, broadcast_axes: tuple[int, ...] = (), name: str | None = None) -> Model:
    """Additive Gaussian noise as a layer: in training every unit plus a normal draw of mean 0.

    Args:
      stddev: σ ≥ 0, in the units of the input; may be a traced value.
      broadcast_axes: axes (of the batched input) that share one draw.
      name: the layer's name.

    Returns:
      A layer without parameters, of the input's shape and dtype; the identity outside training.

    Raises:
      ValueError: a negative stddev, or training without a key.
    """
    return _noisy("gaussian_noise", noise.gaussian_noise, _check.number("stddev", stddev, low=0), broadcast_axes, name)


@entry(
    "layer",
    equation="x*(1 + sqrt(p/(1 - p))*n)",
    aliases=("gaussian dropout layer",),
    sources=("Srivastava et al. 2014, JMLR 15:1929, section 10",),
    symbols={"rate": "p"},
    see_also=("gaussian_dropout", "dropout"),
)
@buildable
def gaussian_dropout(rate: Any, *, broadcast_axes: tuple[int, ...] = (), name: str | None = None) -> Model:
    """Gaussian dropout as a layer: in training every unit times a normal draw with inverted dropout's variance.

    Args:
      rate: of the dropout with the same variance, in [0, 1); may be a traced value.
      broadcast_axes: axes (of the batched input) that share one draw.
      name: the layer's name.

    Returns:
      A layer without parameters, of the input's shape and dtype; the identity outside training.

    Raises:
      ValueError: a rate outside [0, 1), or training without a key.
    """
    rate = _check.number("rate", rate, low=0, below=1)
    return _noisy("gaussian_dropout", noise.gaussian_dropout, rate, broadcast_axes, name)


def _noisy(
    kind: str, draw: Callable[..., Any], amount: Any, broadcast_axes: tuple[int, ...], name: str | None
) -> Model:
    """A noise as a layer."""

    def transform(x, key, train):
        if not train:
            return x
        if key is None:
            raise ValueError(f"{kind} needs a key in training: apply(…, key=key, train=True)")
        return draw(key, x, amount, broadcast_axes=broadcast_axes)

    return stateless(transform, name=kind, label=name)
