"""Threshold units as a layer: the perceptron. Its parameters are those of a dense layer."""

from collections.abc import Callable

from jaxdict import _check
from jaxdict._entry import entry
from jaxdict.activations import step
from jaxdict.layers._model import Model, buildable
from jaxdict.layers.linear import dense

__all__ = ["perceptron"]


@entry(
    "layer",
    equation="indicator(x @ W + b >= 0)",
    aliases=("threshold units", "layer of threshold logic units"),
    sources=("S2 10.1.3", "Rosenblatt 1958, doi:10.1037/h0042519"),
    conventions={
        "torch": "none; Linear and heaviside",
        "keras": "none",
        "scikit-learn": "Perceptron: one unit a class, its answers are classes; weights begin at 0, as here",
    },
    errata=("S2 10.1.3 calls the outputs of threshold units real numbers: they are 0 or 1.",),
    see_also=("perceptron_rule", "activation step", "linear_separability"),
)
@buildable
def perceptron(
    width: int, *, bias: bool = True, initializer: str | Callable = "zeros", name: str | None = None
) -> Model:
    """A layer of threshold units, 1 where ``x @ kernel + bias >= 0`` and 0 elsewhere.

    Args:
      width: number of units, each a yes or no of its own.
      bias: whether a unit has a threshold other than 0.
      initializer: of the kernel ``(in, out)``, a name or ``init(key, shape, dtype)``. From 0 the bound on the number
        of errors holds whatever the learning rate.
      name: the layer's name in the parameters; ``perceptron_1``, … when None.

    Returns:
      A layer from ``(…, in)`` to ``(…, width)`` with float32 parameters ``kernel`` and ``bias``, as ``dense`` has them.

    Raises:
      ValueError: a width below 1, or inputs that do not fit. KeyError: an unknown initializer.
    """
    width = _check.integer("width", width, low=1)
    net_input = dense(width, bias=bias, initializer=initializer, name="perceptron")

    def apply(params, state, inputs, *, key=None, train=False):
        features = params["kernel"].shape[0]
        if inputs.shape[-1] != features:
            raise ValueError(f"perceptron({width}) takes {features} features; got inputs of shape {inputs.shape}")
        return step(net_input.apply(params, state, inputs)[0]), state

    return Model(net_input.init, apply, name=name or "perceptron", named=name is not None, mixes_examples=False)
