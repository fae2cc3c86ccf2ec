"""What goes on inside a model: statistics of every layer's outputs and of the gradients that reach it.

One compiled pass over a batch. A *dead* unit gives 0 for every example; a unit is *saturated* for an example where its
output is near an end of its activation's range. A gradient *vanishes* or *explodes* where its norm, by a layer's
outputs, is far from that at the last layer with parameters: units of the same network are compared, nothing else.
"""

from jaxdict.inspection.measuring import statistics
from jaxdict.inspection.records import LayerStatistics, Statistics

__all__ = ["LayerStatistics", "Statistics", "statistics"]
