"""What inspection found, layer by layer, and how it is printed."""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxdict import _check


class LayerStatistics(NamedTuple):
    """One layer; NaN stands for what it does not have, or what was not asked for.

    Attributes:
      name: of the layer, ``"encoder/dense_1"`` where models are nested.
      kind: what it is: ``dense``, or the name of an activation.
      shape: of its outputs, without the batch axis.
      mean: of its outputs. std: their standard deviation.
      dead: the share of units that give 0 for every example (and place), of ReLU and ReLU6.
      saturated: the share of outputs near an end of the range, of sigmoid, tanh, their hard forms and softsign.
      weight_rms: the root of the mean square of its parameters.
      gradient_norm: of ∂L/∂parameters. gradient_rms: the root of their mean square.
      error_norm: of ∂L/∂outputs, over the whole batch. error_rms: the root of their mean square.
      ratio: ``error_norm`` over that of the last layer with parameters.
      flag: "vanishing", "exploding", "not finite", or nothing.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    std: float
    dead: float
    saturated: float
    weight_rms: float
    gradient_norm: float
    gradient_rms: float
    error_norm: float
    error_rms: float
    ratio: float
    flag: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """The layers of a model in the order in which they are computed; ``print`` shows a table.

    Attributes:
      layers: what was found of each.
      loss: the mean loss of the batch; NaN where none was given.
      limit: by what factor a gradient's norm may differ before it is flagged.
      margin: how near an end of the range is saturated, as a share of the range.
    """

    layers: tuple[LayerStatistics, ...]
    loss: float
    limit: float
    margin: float

    def __getitem__(self, name: str) -> LayerStatistics:
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer is called {name!r}; {_check.did_you_mean(name, [each.name for each in self.layers])}")

    def __iter__(self) -> Iterator[LayerStatistics]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def factor(self) -> float:
        """By how much a gradient grows from a layer to the one before it: the geometric mean, layers with parameters.

        Batch norms count as layers; NaN without a loss, or with fewer than two layers.
        """
        norms = [layer.error_norm for layer in self.layers if not np.isnan(layer.weight_rms)]
        if len(norms) < 2 or not norms[-1] > 0:
            return float("nan")
        return (norms[0] / norms[-1]) ** (1 / (len(norms) - 1))

    def __str__(self) -> str:
        columns = ["mean", "std", "dead", "saturated", "weight_rms", "gradient_norm", "error_norm", "ratio"]
        shown = [c for c in columns if any(not np.isnan(getattr(layer, c)) for layer in self.layers)]
        table = [["layer", "kind", "outputs", *(c.replace("_", " ") for c in shown), ""]]
        for layer in self.layers:
            numbers = [_number(c, getattr(layer, c)) for c in shown]
            table.append([layer.name, layer.kind, "×".join(map(str, layer.shape)), *numbers, layer.flag])
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = []
        for row in table:
            cells = [f"{c:<{w}}" if i < 2 or i == len(row) - 1 else f"{c:>{w}}" for i, (c, w) in
                     enumerate(zip(row, widths, strict=True))]  # fmt: skip
            lines.append("  ".join(cells).rstrip())
        rule = "-" * max(map(len, lines))
        if np.isnan(self.loss):
            return "\n".join([lines[0], rule, *lines[1:]])
        factor = self.factor
        grows = "" if np.isnan(factor) else f"; a layer multiplies the gradient on its way back by {factor:.3g}"
        return "\n".join([lines[0], rule, *lines[1:], rule, f"loss {self.loss:.4g}{grows}"])


def _number(column: str, value: float) -> str:
    if np.isnan(value):
        return ""
    return f"{100 * value:.1f} %" if column in ("dead", "saturated") else f"{value:.3g}"


__all__ = ["LayerStatistics", "Statistics"]
