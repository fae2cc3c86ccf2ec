"""What came of a race: destinations by rate, the rate chosen for each, the ways there, a table."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxdict import _check
from jaxdict.race import engine
from jaxdict.race.contestants import contestants
from jaxdict.race.engine import Lanes
from jaxdict.race.surfaces import Surface
from jaxdict.race.surfaces import surface as surface_of

ARRIVED, CIRCLING, UNDER_WAY, ELSEWHERE, DIVERGED = range(5)
_DESTINATIONS = ("at the minimum", "circling it", "on the way to it", "elsewhere", "diverged")
AWAY = "far off"  # outside, and in no valley that the surface names
RATES = (1e-6, 1e3, 181)
STEPS, TOLERANCE = 10_000, 0.01
_STAY = 100  # what arrived has been there for one of so many parts of the steps, at the end
_FIRM = 3  # neighbouring rates with one destination are no luck
_MOST_LANES = 2_000_000  # kept paths would fill the memory


class Outcome(NamedTuple):
    """One optimizer from one start, at the rate chosen for it."""

    optimizer: str
    start: tuple[float, float]
    rate: float
    destination: str
    steps: int | None  # after which it stayed within the tolerance; None when it did not
    distance: float  # to the nearest minimum at the end; NaN when diverged
    arriving: int  # so many of the rates arrive
    lowest: float | None  # the lowest and highest rate that does
    highest: float | None


@dataclass(frozen=True)
class Race:
    """A race that was run. Arrays are by optimizer, rate and start, ``(o, r, s)``.

    ``places``: what the numbers in ``destinations`` mean. ``settled``: the steps after which a lane stayed within the
    tolerance, −1 where it did not. ``distances``: to the nearest minimum at the end. ``lanes``: all that the compiled
    program gave, paths at ``kept_steps`` included.
    """

    surface: Surface
    optimizers: tuple[str, ...]
    rates: np.ndarray
    starts: np.ndarray
    minima: np.ndarray
    steps: int
    tolerance: float
    lanes: tuple[Lanes, ...]

    @functools.cached_property
    def kept_steps(self) -> np.ndarray:
        """The steps at which paths are kept."""
        return engine.kept_steps(self.steps)

    @property
    def places(self) -> tuple[str, ...]:
        """The names of the destinations, in the order of their numbers."""
        return (*_DESTINATIONS, *(v.name for v in self.surface.valleys), AWAY)

    @functools.cached_property
    def distances(self) -> np.ndarray:
        """How far the lanes ended from the nearest minimum."""
        return _apart(np.stack([lanes.end for lanes in self.lanes], 1), self.minima)

    @functools.cached_property
    def settled(self) -> np.ndarray:
        """The steps after which lanes stayed within the tolerance of a minimum, −1 for those that did not."""
        settled = np.stack([lanes.settled for lanes in self.lanes])
        return np.where(settled <= self.steps - self.steps // _STAY, settled, -1)

    @functools.cached_property
    def destinations(self) -> np.ndarray:
        """Where each lane was after the last step, as a number of ``places``."""
        end, foot = (np.stack([getattr(lanes, name) for lanes in self.lanes], 1) for name in ("end", "foot"))
        value = np.stack([lanes.value for lanes in self.lanes])
        touched = np.stack([lanes.touched for lanes in self.lanes]) >= 0
        left, right, bottom, top = self.window
        reach = np.hypot(right - left, top - bottom)
        home = _apart(foot, self.minima) < 1e-3 * reach
        codes = np.where(home, np.where(touched, CIRCLING, UNDER_WAY), ELSEWHERE)
        codes[self.settled >= 0] = ARRIVED
        with np.errstate(invalid="ignore"):
            middle = np.array([(left + right) / 2, (bottom + top) / 2]).reshape(2, 1, 1, 1)
            far = np.hypot(*(foot - middle))
            gone = far > engine.FAR * reach
            codes[gone] = len(self.places) - 1
            for number, valley in enumerate(self.surface.valleys, len(_DESTINATIONS)):
                along = np.tensordot(np.array(valley.direction), foot - middle, 1)
                codes[gone & (along > 0.9 * far)] = number
        codes[~(np.isfinite(value) & np.isfinite(end).all(0))] = DIVERGED
        return codes

    @functools.cached_property
    def window(self) -> tuple[float, float, float, float]:
        """What pictures show."""
        return self.surface.window or _around(np.concatenate([self.starts, self.minima]))

    @functools.cached_property
    def chosen(self) -> np.ndarray:
        """The number of the rate chosen for each optimizer and start, ``(o, s)``.

        Of the longest unbroken run of rates that arrive the one of the fewest steps: a single rate that arrives between
        others that fail is luck. Where none arrives, of the longest run of at least three that circle the minimum the
        one that ends closest; likewise of those on the way to it; likewise of any one destination.
        """
        chosen = np.empty((len(self.optimizers), len(self.starts)), int)
        for o, s in np.ndindex(chosen.shape):
            codes, settled = self.destinations[o, :, s], self.settled[o, :, s]
            pool, cost = _longest_run(settled >= 0), settled
            if not pool.any():
                runs = [_longest_run(codes == code) for code in range(len(self.places)) if code != DIVERGED]
                tiers = [_longest_run(codes == CIRCLING), _longest_run(codes <= UNDER_WAY)]
                firm = [run for run in tiers if run.sum() >= _FIRM]
                pool, cost = (firm or [max(runs, key=np.sum)])[0], self.distances[o, :, s]
            chosen[o, s] = np.where(pool & np.isfinite(cost), cost, np.inf).argmin()
        return chosen

    def path(self, optimizer: str, start: int = 0, *, rate: int | None = None) -> np.ndarray:
        """The way of a lane, ``(kept steps, 2)``; ``rate`` is a number in ``rates``, the chosen one when None."""
        _check.one_of("optimizer", optimizer, self.optimizers)
        number = self.optimizers.index(optimizer)
        return self.lanes[number].path[:, :, self.chosen[number, start] if rate is None else rate, start]

    def table(self) -> list[Outcome]:
        """An Outcome for each start and optimizer, the fastest first, then the closest."""
        rows = []
        for s, start in enumerate(self.starts):
            block = []
            for o, label in enumerate(self.optimizers):
                r = int(self.chosen[o, s])
                there = self.rates[self.settled[o, :, s] >= 0]
                settled = int(self.settled[o, r, s])
                block.append(
                    Outcome(
                        label, (float(start[0]), float(start[1])), float(self.rates[r]),
                        self.places[self.destinations[o, r, s]], settled if settled >= 0 else None,
                        float(self.distances[o, r, s]), len(there),
                        float(there[0]) if len(there) else None, float(there[-1]) if len(there) else None,
                    )
                )  # fmt: skip
            rows += sorted(block, key=lambda row: (row.steps is None, row.steps, row.distance))
        return rows


def run(
    optimizers: Any = None,
    *,
    function: Any = "beale",
    starts: Sequence[Sequence[float]] | None = None,
    rates: Any = RATES,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> Race:
    """Let optimizers race: each at every rate from every start, in one compiled program, in float64.

    Where a lane ends is chaotic in the rate, so that a single rate proves nothing: look at ``Race.destinations``.

    Args:
      optimizers: names (``"adam"``, ``"rmsprop+momentum"``), or a mapping of labels to functions of the rate that give
        an optax transformation; when None every optimizer of the dictionary that a rate alone makes.
      function: ``"beale"``, ``"rosenbrock"``, ``"himmelblau"``, ``"rastrigin"``, ``"bowl"``, ``"package.module:name"``,
        a Surface, or a function of a vector of two. Minima that are not given are looked for around the starts.
      starts: pairs (x, y); the surface's own when None.
      rates: ``(lowest, highest, how many)``, spaced by equal factors, or an array of rates.
      steps: how many, at least 1.
      tolerance: the distance to a minimum, > 0, within which a lane must stay to have arrived.

    Returns:
      The Race.

    Raises:
      ValueError: an unknown name, rates, starts or numbers out of range, a function that no minimum is found of.
      TypeError: something of another type.
    """
    surface, field = surface_of(function), contestants(optimizers)
    grid = _as_rates(rates)
    places = _as_starts(surface.starts if starts is None else starts)
    _check.integer("steps", steps, low=1)
    tolerance = _check.scalar("tolerance", tolerance, above=0)
    if len(grid) * len(places) * len(field) > _MOST_LANES:
        raise ValueError(f"too many lanes: {len(field)} optimizers × {len(grid)} rates × {len(places)} starts")
    minima = np.array(surface.minima, np.float64).reshape(-1, 2)
    if not len(minima):
        window = surface.window or _around(np.concatenate([places, [(-5.0, -5.0), (5.0, 5.0)]]))
        minima = engine.find_minima(surface.function, window)
        if not len(minima):
            raise ValueError(f"no minimum of {surface.name} was found in {window}; give a Surface with its minima")
    lanes = engine.run(
        field, surface.function, rates=grid, starts=places, minima=minima, steps=steps, tolerance=tolerance
    )
    labels = tuple(one.label for one in field)
    return Race(surface, labels, grid, places, minima, steps, tolerance, tuple(lanes))


def _as_rates(rates: Any) -> np.ndarray:
    if isinstance(rates, tuple) and len(rates) == 3:
        low, high, count = rates
        _check.scalar("the lowest rate", low, above=0)
        _check.scalar("the highest rate", high, low=low)
        return np.geomspace(low, high, _check.integer("the number of rates", count, low=1))
    rates = np.atleast_1d(np.asarray(_check.number("rates", rates, above=0), np.float64))
    if rates.ndim != 1 or not len(rates) or not np.isfinite(rates).all():
        raise ValueError(f"rates must be (lowest, highest, how many) or a row of numbers > 0; got shape {rates.shape}")
    return np.sort(rates)


def _as_starts(starts: Any) -> np.ndarray:
    array = np.asarray(_check.number("starts", starts), np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.isfinite(array).all():
        raise ValueError(f"starts must be pairs (x, y) of finite numbers; got {starts!r}")
    return array


def _apart(places: np.ndarray, minima: np.ndarray) -> np.ndarray:
    """The distance of ``places`` (2, …) to the nearest minimum; NaN where a place is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        apart = places[..., None] - minima.T.reshape(2, *(1,) * (places.ndim - 1), -1)
        return np.hypot(*apart).min(-1)


def _longest_run(mask: np.ndarray) -> np.ndarray:
    """The longest unbroken run of True alone, the first of several."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    runs = ends.reshape(-1, 2)
    longest = np.zeros_like(mask)
    if len(runs):
        begin, end = runs[np.diff(runs)[:, 0].argmax()]
        longest[begin:end] = True
    return longest


def _around(points: np.ndarray) -> tuple[float, float, float, float]:
    """A window that shows all of ``points``, with a margin."""
    low, high = points.min(0), points.max(0)
    margin = 0.25 * max(float((high - low).max()), 1.0)
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return left, right, bottom, top
