"""Draw docs/images/curves.png, the picture of the README: a run on the digits beside an entry of the dictionary.

python docs/picture.py [FILE]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

import jaxdict as jd

TARGET = Path(__file__).resolve().parent / "images" / "curves.png"
BLUE, ORANGE, GREY, INK = "#2a6fbb", "#e0752b", "#8a8f98", "#1f2328"


def main(arguments: list[str]) -> None:
    """Train, draw, and write the picture, 1200 pixels wide."""
    (path,) = [Path(a) for a in arguments] or [TARGET]
    run = train()
    figure = Figure(figsize=(12, 4.4), dpi=100, layout=ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.16, wspace=0.04))
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1, 1.25])
    learning(left, run, "loss")
    left.set_yscale("log")
    left.legend(loc="lower left", frameon=False, fontsize=10.5)
    learning(middle, run, "accuracy")
    middle.set_ylim(0.85, 1.003)
    formula(right, "gelu")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    print(f"{run.message}; {path.name}: {path.stat().st_size // 1000} kB")


def train() -> Any:
    """Sixty epochs on the digits; validation on a fifth."""
    return jd.fit(
        jd.models.mlp([64, 128, 64, 10], activation="gelu", dropout=0.1),
        "sparse_softmax_cross_entropy",
        jd.optimizers.adam(2e-3),
        jd.data.load("digits"),
        key=0,
        epochs=60,
        validation=0.2,
        metrics="accuracy",
    )


def learning(axis: Any, run: Any, name: str) -> None:
    """Training and validation by epoch, the best epoch marked."""
    epochs = run.history["epoch"]
    axis.plot(epochs, run.history[name], color=BLUE, linewidth=2, label="training")
    axis.plot(epochs, run.history[f"validation_{name}"], color=ORANGE, linewidth=2, label="validation")
    best = run.best.epoch
    value = run.history[f"validation_{name}"][best - 1]
    axis.axvline(best, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axis.plot([best], [value], "o", color=ORANGE, markersize=9, markeredgecolor="white", markeredgewidth=1.5, zorder=5)
    title(axis, name, f"best epoch {best}: {value:.3f}")
    axis.set_xlabel("epoch", color=INK)
    axis.set_xlim(0, epochs[-1] + 1)
    plain(axis)


def formula(axis: Any, name: str) -> None:
    """Value and derivative of an activation, with the equations that the dictionary holds."""
    entry = jd.lookup(name)
    assert entry.derivative is not None
    x = np.linspace(-4, 4, 801, dtype=np.float32)
    axis.axhline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.plot(x, entry.function(x), color=BLUE, linewidth=2.4)
    axis.plot(x, entry.derivative(x), color=ORANGE, linewidth=2.4)
    axis.set_xlim(-4, 4)
    axis.set_ylim(-0.6, 3.4)
    for height, color, text in (
        (2.75, BLUE, f"$f(x) = {typeset(entry.equation)}$"),
        (2.1, ORANGE, f"$f\\,'(x) = {typeset(entry.derivative_equation)}$"),
    ):
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 4}
        axis.text(-3.7, height, text, color=color, fontsize=20, math_fontfamily="cm", bbox=paper)
    title(axis, f'jaxdict.lookup("{name}")', "", family="monospace")
    axis.set_xlabel("x", color=INK)
    plain(axis)


def typeset(equation: str) -> str:
    """LaTeX for matplotlib, which draws stretched parentheses too small."""
    return equation.replace(r"\left", "").replace(r"\right", "")


def title(axis: Any, left: str, right: str, **style: Any) -> None:
    axis.set_title(left, loc="left", fontsize=13, color=INK, **style)
    axis.set_title(right, loc="right", fontsize=10.5, color=ORANGE)


def plain(axis: Any) -> None:
    axis.grid(color="#e6e8eb", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(GREY)
    axis.tick_params(colors=INK, labelsize=10)


if __name__ == "__main__":
    main(sys.argv[1:])
