"""Pictures of what training leaves behind, and of entries; off screen, without a window or a state of pyplot."""

from jaxdict.plots._canvas import figure, save
from jaxdict.plots.entries import draw
from jaxdict.plots.graph import graph
from jaxdict.plots.inside import statistics
from jaxdict.plots.learning import curves
from jaxdict.plots.search import search

__all__ = ["curves", "draw", "figure", "graph", "save", "search", "statistics"]
