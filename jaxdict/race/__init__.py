"""The race of the optimizers: all of them, at many rates, on a function of two numbers that can be drawn.

``run`` races in one compiled program and gives a ``Race``: destinations by rate, the rate chosen for each, the ways.
``paths``, ``destinations`` and ``picture`` draw it, ``gif`` and ``page`` let it run before one's eyes.
"""

from jaxdict.race.animation import gif
from jaxdict.race.command import print_table, read_rates, read_starts, write, writer_of
from jaxdict.race.contestants import Contestant, field
from jaxdict.race.pictures import destinations, paths, picture
from jaxdict.race.results import RATES, STEPS, TOLERANCE, Outcome, Race, run
from jaxdict.race.surfaces import SURFACES, Surface, Valley, surface
from jaxdict.race.web import page

__all__ = [
    "RATES", "STEPS", "SURFACES", "TOLERANCE", "Contestant", "Outcome", "Race", "Surface", "Valley", "destinations",
    "field", "gif", "page", "paths", "picture", "print_table", "read_rates", "read_starts", "run", "surface", "write",
    "writer_of",
]  # fmt: skip
