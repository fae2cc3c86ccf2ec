"""Where the boxes of a graph stand: rows from top to bottom, few crossings, neighbours above each other."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

SWEEPS = 12


class Layout(NamedTuple):
    """The place of everything.

    Attributes:
      rows: by box its row from the top, from 0.
      across: by box where its middle is.
      routes: by edge, ``(source, target)``, where it passes each row between those two.
    """

    rows: dict[Any, int]
    across: dict[Any, float]
    routes: dict[tuple[Any, Any], list[tuple[float, int]]]


class Way(NamedTuple):
    """The place of an edge in a row that it passes."""

    source: Any
    target: Any
    row: int


def layout(sources: Mapping[Any, Sequence[Any]], widths: Mapping[Any, float], gap: float) -> Layout:
    """Sugiyama's way: rows by the longest path, orders with few crossings, places where edges are most upright.

    Args:
      sources: by box what its edges come from, boxes after their sources.
      widths: by box.
      gap: between two boxes of a row.

    Returns:
      The Layout, whose middle is 0.
    """
    rows: dict[Any, int] = {}
    for box, above in sources.items():
        rows[box] = 1 + max((rows[source] for source in above), default=-1)
    # An edge over several rows goes through a place of its own in each.
    chains: dict[tuple[Any, Any], list[Any]] = {}
    for box, above in sources.items():
        for source in dict.fromkeys(above):
            chains[source, box] = [Way(source, box, row) for row in range(rows[source] + 1, rows[box])]
    links: list[tuple[Any, Any]] = []
    standing: list[list[Any]] = [[] for _ in range(max(rows.values()) + 1)]
    for box, row in rows.items():
        standing[row].append(box)
    for (source, box), places in chains.items():
        for place in places:
            standing[place.row].append(place)
        path = [source, *places, box]
        links += itertools.pairwise(path)
    near: dict[Any, tuple[list[Any], list[Any]]] = {one: ([], []) for row in standing for one in row}
    for above, below in links:
        near[below][0].append(above)
        near[above][1].append(below)
    standing = _ordered(standing, near, links)
    across = _placed(standing, links, {one: widths.get(one, 0.25 * gap) for one in near}, gap)
    routes = {edge: [(across[place], place.row) for place in places] for edge, places in chains.items()}
    return Layout(rows, {box: across[box] for box in rows}, routes)


def _ordered(standing: list[list[Any]], near: Mapping[Any, Any], links: Sequence[tuple[Any, Any]]) -> list[list[Any]]:
    """Rows in the order that was found to have the fewest crossings."""
    best, fewest = standing, _crossings(standing, links)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        standing = [list(row) for row in standing]
        for row in range(len(standing)) if down else reversed(range(len(standing))):
            place = {one: i for other in standing for i, one in enumerate(other)}
            middle = {one: [place[n] for n in near[one][0 if down else 1]] or [place[one]] for one in standing[row]}
            standing[row].sort(key=lambda one, middle=middle: sum(middle[one]) / len(middle[one]))
        count = _crossings(standing, links)
        if count < fewest:
            best, fewest = standing, count
    return best


def _crossings(standing: list[list[Any]], links: Sequence[tuple[Any, Any]]) -> int:
    place = {one: i for row in standing for i, one in enumerate(row)}
    row_of = {one: i for i, row in enumerate(standing) for one in row}
    ends = np.array([(row_of[a], place[a], place[b]) for a, b in links]).reshape(-1, 3)
    same = ends[:, None, 0] == ends[None, :, 0]
    return int(np.sum(same & (ends[:, None, 1] < ends[None, :, 1]) & (ends[:, None, 2] > ends[None, :, 2])))


def _placed(
    standing: list[list[Any]], links: Sequence[tuple[Any, Any]], widths: Mapping[Any, float], gap: float
) -> dict[Any, float]:
    """Where each stands so that links are as upright as can be: a linear program, as Gansner et al. 1993 put it."""
    from scipy.optimize import linprog  # slow to import
    from scipy.sparse import coo_array

    number = {one: i for i, one in enumerate(one for row in standing for one in row)}
    boxes, ways = len(number), len(links)
    entries: list[tuple[int, int, float]] = []  # row, column, value of the inequalities, each <= its limit
    limits: list[float] = []
    for row in standing:
        for one, other in itertools.pairwise(row):
            entries += [(len(limits), number[one], 1.0), (len(limits), number[other], -1.0)]
            limits.append(-0.5 * (widths[one] + widths[other]) - gap)
    for i, (above, below) in enumerate(links):
        for sign in (1.0, -1.0):  # what a link leans is at least the difference, either way
            at = len(limits)
            entries += [(at, number[above], sign), (at, number[below], -sign), (at, boxes + i, -1.0)]
            limits.append(0.0)
    rows, columns, values = np.array(entries).reshape(-1, 3).T
    # A bend in a way or in a chain says nothing, so that there they cost more.
    leaving, entering = Counter(above for above, _ in links), Counter(below for _, below in links)
    price = [
        1.0 + (leaving[above] == entering[below] == 1) + 3.0 * (isinstance(above, Way) + isinstance(below, Way))
        for above, below in links
    ]
    found = linprog(
        [0.0] * boxes + price, coo_array((values, (rows, columns)), shape=(len(limits), boxes + ways)), limits,
        bounds=[(None, None)] * boxes + [(0, None)] * ways,
    )  # fmt: skip
    places = found.x[:boxes]
    return dict(zip(number, (places - 0.5 * (places.min() + places.max())).tolist(), strict=True))
