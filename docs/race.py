"""Run the races and write docs/race.md with its pictures: the field on Beale's function, claims tested, digits.

python docs/race.py [FOLDER]
"""

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import jaxdict as jd
from jaxdict.race import Race
from jaxdict.race.pictures import brief as said
from jaxdict.race.results import ARRIVED, CIRCLING, UNDER_WAY

HERE = Path(__file__).resolve().parent
FINE = (1e-6, 1e2, 401)  # 50 rates a decade, for the claims
DIGITS_RATES = tuple(10.0 ** (k / 2) for k in range(-8, 4))  # two a decade, 1e-4 to 32
EPOCHS = 20

OPTIMIZERS = jd.optimizers
# The optimizers of S4 with the constants of its code: momentum 0.9, decay 0.99, 1e-7 beside the root.
LECTURE = {
    "gradient_descent": OPTIMIZERS.gradient_descent,
    "momentum": OPTIMIZERS.momentum,
    "nesterov": OPTIMIZERS.nesterov,
    "adagrad": lambda rate: OPTIMIZERS.adagrad(rate, eps=1e-7, eps_root=0.0),
    "rmsprop": lambda rate: OPTIMIZERS.rmsprop(rate, decay=0.99, eps=0.0, eps_root=1e-7),
    "rmsprop+momentum": lambda rate: OPTIMIZERS.rmsprop(rate, decay=0.99, eps=1e-7, eps_root=0.0, momentum=0.9),
    "adam": lambda rate: OPTIMIZERS.adam(rate, b2=0.99, eps=1e-7),
}


def main(arguments: list[str]) -> None:
    """Race, draw, and write the page and its pictures into the folder named in ``arguments``, docs/ without one."""
    (folder,) = [Path(a) for a in arguments] or [HERE]
    images = folder / "images"
    field = jd.race.run()
    lecture = jd.race.run(LECTURE, rates=FINE)
    bowl = jd.race.run(["gradient_descent", "momentum", "nesterov", "adam"], function="bowl", rates=(1e-5, 10, 301))
    jd.race.paths(field, images / "race.png")
    jd.race.destinations(field, images / "race-destinations.png")
    jd.race.gif(lecture, images / "race-lecture.gif")
    jd.race.page(field, images / "race.html")
    jd.race.paths(bowl, images / "race-bowl.png")
    digits = list(on_the_digits())
    text = page(field, lecture, bowl, digits)
    (folder / "race.md").write_text(text, encoding="utf-8")
    print(f"{len(field.optimizers)} optimizers; {folder / 'race.md'}")


# ------------------------------------------------------------------------------------------------------- the page

PAGE = """\
# The race

<!-- Written by docs/race.py, figures and pictures too. -->

Every optimizer of the [dictionary](dictionary.md#optimizers) that a learning rate alone makes, on Beale's function,
from (2, −2) and (−3, 3), {steps:,} steps, at {rates} rates from {low} to {high}: {lanes:,} lanes in one compiled
program. Do it yourself with `jaxdict race`, in Python with `jaxdict.race.run()`.

![The ways of {count} optimizers over the contours of Beale's function](images/race.png)

Each at its own rate η, the number of steps until it stayed within {tolerance} of the minimum (3, ½), the star.
Optimizers that went the same way share a panel: at a constant rate they are one method. [The same,
moving](images/race.html): a page that needs no network.

**How a rate is chosen.** Of the longest unbroken run of rates that arrive, the one of the fewest steps. A single rate
that arrives between others that fail is luck. Where none arrives: of the longest run that circles the minimum, is on
the way to it, or has another destination in common, in this order, the one that ends closest.

**Numbers.** Gradients, steps and states are float64. Where rates are chaotic, another rounding gives another
destination: what holds over a range of rates is a finding, what holds at one rate is not. To the optimizers the two
numbers are a 2 × 1 matrix, so that Muon, which is for matrices, is itself.

## Where each ends, by its rate

![Destinations by learning rate, a strip for each optimizer](images/race-destinations.png)

*At the minimum*: within {tolerance} for at least the last hundredth of the steps. *Circling it*: has been there and
left again, and descent would lead back. *On the way to it*: descent from the last place leads there. *Valley*:
descent from there goes off for ever.

The function has one minimum and no other. Its two saddles, (0, 1) and (0.1005, −2.6445), are passes to two valleys
without an end: x → −∞ with y → 1⁺, where the value falls to 405/896 ≈ 0.452, and y → −∞ with x → 0⁺, where it falls
to 7.3125. What lectures call the local minimum of this picture is the first of them.

{tables}

## The lecture's claims

S4 shows seven optimizers from these starts, each at a rate that it does not tell. Here they run with the constants of
its code (momentum 0.9, decay 0.99, β₂ 0.99, 1e-7) at {fine} rates from {fine_low} to {fine_high}, and the verdict is
the range of rates for which a claim holds.

![Seven optimizers on Beale's function](images/race-lecture.gif)

| claim | verdict | by rate η |
|---|---|---|
{claims}

## The zigzag

![Four optimizers on an ill-conditioned bowl](images/race-bowl.png)

A bowl a hundred times as steep across as along, turned by 30° so that rates by coordinate do not see through it.
{zigzag}

## On the digits

The same optimizers train `mlp([64, 32, 10])` on the bundled digits by `jaxdict.fit`: {epochs} epochs, batches of 32,
a fifth held out, seed 0. Each gets {digits_rates} rates from 1e-4 to 32, two a decade, and shows the one of the
lowest validation loss at the end.

| optimizer | rate | validation loss | validation accuracy | epochs to 95 % |
|---|---|---|---|---|
{digits}

What wins on a function of two numbers need not win here. Rprop reads the signs of the gradient, and those of a small
batch are noise. The others differ little at their own best rates.
"""


def page(field: Race, lecture: Race, bowl: Race, digits: list[tuple[str, ...]]) -> str:
    """The whole page as Markdown."""
    return PAGE.format(
        steps=field.steps, rates=len(field.rates), low=said(field.rates[0]), high=said(field.rates[-1]),
        lanes=field.destinations.size, count=len(field.optimizers), tolerance=field.tolerance,
        tables="\n\n".join(tables(field)), fine=len(lecture.rates), fine_low=said(lecture.rates[0]),
        fine_high=said(lecture.rates[-1]), claims="\n".join(row(*claim) for claim in claims(lecture)),
        zigzag=zigzag(bowl), epochs=EPOCHS, digits_rates=len(DIGITS_RATES), digits="\n".join(row(*d) for d in digits),
    )  # fmt: skip


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def tables(race: Race) -> Iterator[str]:
    """A table for each start."""
    outcomes = race.table()
    for s, start in enumerate(race.starts):
        lines = [f"### From {point(start)}", ""]
        lines.append(row("optimizer", "rate", "steps", "distance at the end", "destination", "rates that arrive"))
        lines.append(row("---", "---:", "---:", "---:", "---", "---"))
        for one in outcomes:
            if one.start == tuple(start):
                steps = "" if one.steps is None else f"{one.steps:,}"
                distance = "" if np.isnan(one.distance) else said(one.distance)
                arrived = race.settled[race.optimizers.index(one.optimizer), :, s] >= 0
                cells = (code(one.optimizer), said(one.rate), steps, distance, one.destination)
                lines.append(row(*cells, ranges(arrived, race.rates)))
        yield "\n".join(lines)


def point(start: Any) -> str:
    return f"({start[0]:g}, {start[1]:g})".replace("-", "−")


def code(name: str) -> str:
    return f"`{name}`"


def ranges(mask: np.ndarray, rates: np.ndarray) -> str:
    """The runs of rates for which ``mask`` holds: up to three, or the longest and how many others there are."""
    if not mask.any():
        return "none"
    runs = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int))).reshape(-1, 2)
    if len(runs) <= 3:
        return "; ".join(between(rates, *run) for run in runs)
    begin, end = runs[np.diff(runs)[:, 0].argmax()]
    rest = mask.copy()
    rest[begin:end] = False
    first, last = np.flatnonzero(rest)[[0, -1]]
    return f"{between(rates, begin, end)}, and {rest.sum()} more of those from {between(rates, first, last + 1)}"


def between(rates: np.ndarray, begin: int, end: int) -> str:
    first, last = said(rates[begin]), said(rates[end - 1])
    return first if first == last else f"{first} to {last}"


# ------------------------------------------------------------------------------------------------------ the claims


def verdict(holds: np.ndarray, among: Any = None) -> str:
    """In words, for how many of the rates in question."""
    share = holds.mean() if among is None else holds[among].mean() if among.any() else 0.0
    for least, word in (
        (1.0, "holds"),
        (0.9, "mostly holds"),
        (0.5, "holds for more than half"),
        (0.02, "holds for some"),
    ):
        if share >= least:
            return word if word == "holds" else f"{word} ({share:.0%} of the rates)"
    return "does not hold"


def claims(race: Race) -> Iterator[tuple[str, str, str]]:
    """Claim, verdict, and the rates."""
    rates = race.rates
    number = race.optimizers.index
    first, second = range(2)

    def codes(label: str, start: int) -> np.ndarray:
        return race.destinations[number(label), :, start]

    def valley(label: str, start: int) -> np.ndarray:
        return codes(label, start) == race.places.index("valley x → −∞")

    def homeward(label: str, start: int) -> np.ndarray:
        return codes(label, start) <= UNDER_WAY

    def touched(label: str, start: int) -> np.ndarray:
        steps = race.lanes[number(label)].touched[:, start]
        return np.where(steps >= 0, steps, np.inf)

    def fewest(label: str, start: int) -> str:
        r = race.chosen[number(label), start]
        steps = race.settled[number(label), r, start]
        return f"{steps:,} at {said(rates[r])}" if steps >= 0 else "never"

    away = codes("gradient_descent", first) != ARRIVED
    yield (
        "Gradient descent from (2, −2): 10,000 steps are too few to get to the minimum", verdict(away),
        f"false for {ranges(~away, rates)}; below it is too slow, above it overshoots",
    )  # fmt: skip
    away = codes("gradient_descent", second) != ARRIVED
    end = race.distances[number("gradient_descent"), :, second]
    yield (
        "The same from (−3, 3)", verdict(away),
        f"closest: {said(np.nanmin(end))} at {said(rates[np.nanargmin(end)])}; in the valley for "
        f"{ranges(valley('gradient_descent', second), rates)}",
    )  # fmt: skip
    mask = valley("momentum", second)
    yield (
        "Momentum from (−3, 3) finds a local, not the global minimum", verdict(mask),
        f"no local minimum but a valley without an end, for {ranges(mask, rates)}; towards the minimum for "
        f"{ranges(homeward('momentum', second), rates)}",
    )  # fmt: skip
    both = mask & valley("nesterov", second)
    yield (
        "Nesterov momentum from (−3, 3) finds the same one", verdict(both),
        f"both in the valley for {ranges(both, rates)}; only one of them for "
        f"{ranges(mask ^ valley('nesterov', second), rates)}",
    )  # fmt: skip
    mask = homeward("adagrad", second)
    yield (
        "Adagrad from (−3, 3) proceeds to the minimum", verdict(mask),
        f"towards it for {ranges(mask, rates)}, within {race.tolerance} for "
        f"{ranges(codes('adagrad', second) == ARRIVED, rates)}; else in the valley",
    )  # fmt: skip
    mask = codes("rmsprop", second) == ARRIVED
    yield (
        "RMSProp from (−3, 3) proceeds to the minimum", verdict(mask),
        f"stays there for {ranges(mask, rates)}; circles it for {ranges(codes('rmsprop', second) == CIRCLING, rates)}",
    )  # fmt: skip
    for start in (first, second):
        a, b = touched("rmsprop", start), touched("adagrad", start)
        some = np.isfinite(np.minimum(a, b))
        yield (
            f"RMSProp is quicker than Adagrad, from {point(race.starts[start])}", verdict(a < b, some),
            f"first to come within {race.tolerance} at {(a < b)[some].sum()} of the {some.sum()} rates where one of"
            f" them does; at its own best rate to stay: RMSProp {fewest('rmsprop', start)}, Adagrad"
            f" {fewest('adagrad', start)}",
        )  # fmt: skip
    for start in (first, second):
        steps = np.stack([touched(label, start) for label in race.optimizers])
        some = np.isfinite(steps).any(0)
        wins = (steps.argmin(0) == number("rmsprop+momentum")) & some
        others = [f"{label} {fewest(label, start)}" for label in ("rmsprop+momentum", "adam", "rmsprop")]
        yield (
            f"RMSProp with momentum is quicker than all others, from {point(race.starts[start])}", verdict(wins, some),
            f"first at equal rates for {ranges(wins, rates)}; each at its own best: {', '.join(others)}",
        )  # fmt: skip
    for start in (first, second):
        a, b = touched("adam", start), touched("rmsprop", start)
        some = np.isfinite(a) & np.isfinite(b)
        ratio = a[some] / b[some]
        slower = np.zeros(len(rates), bool)
        slower[some] = (ratio >= 1) & (ratio <= 1.5)
        low, middle, high = np.quantile(ratio, (0.1, 0.5, 0.9)) if some.any() else (np.nan,) * 3
        yield (
            f"Adam is just slightly slower than RMSProp, from {point(race.starts[start])}", verdict(slower, some),
            f"up to 1.5 times the steps at {slower.sum()} of the {some.sum()} rates where both come within"
            f" {race.tolerance}; the ratio is {middle:.2g} in the middle, {low:.2g} to {high:.2g} for most",
        )  # fmt: skip
    decades = np.log10(rates[1] / rates[0])
    wide = {label: decades * (codes(label, first) == ARRIVED).sum() for label in race.optimizers}
    order = sorted(wide, key=lambda label: -wide[label])
    yield (
        "Adam is robust to the choice of its rate, from (2, −2)",
        "holds" if "adam" in order[:2] else "does not hold",
        "decades of rates that arrive: " + ", ".join(f"{label} {wide[label]:.1f}" for label in order),
    )
    r = int(np.argmin(np.abs(np.log(rates / 0.01))))
    end = race.distances[number("adagrad"), r]
    yield (
        "Adagrad needs no tuning, 0.01 will do (S1 1.3)", verdict(end <= race.tolerance),
        f"at 0.01 it is {said(end[first])} away after 10,000 steps from (2, −2), {said(end[second])} from (−3, 3); it"
        f" arrives from (2, −2) for {ranges(codes('adagrad', first) == ARRIVED, rates)}",
    )  # fmt: skip


def zigzag(race: Race) -> str:
    """How far descent with and without momentum goes across the bowl in the first hundred steps, by rate."""
    turn = np.array([-np.sin(np.pi / 6), np.cos(np.pi / 6)])

    def across(label: str) -> np.ndarray:
        path = race.lanes[race.optimizers.index(label)].path[:101, :, :, 0].astype(np.float64)
        places = np.tensordot(turn, path - race.minima[0][:, None], ([0], [1]))
        with np.errstate(invalid="ignore"):
            return np.abs(np.diff(places, axis=0)).sum(0) / np.abs(places[0])

    plain, heavy = across("gradient_descent"), across("momentum")
    stable = race.rates < 0.02
    less, more = stable & (heavy < plain), stable & (heavy > plain + 1e-3)
    high, low = np.flatnonzero(less)[-1], int(np.argmin(np.abs(race.rates - 0.005)))
    start = tuple(race.starts[0])
    steps = ", ".join(
        f"{r.optimizer.replace('_', ' ')} {r.steps:,} at {said(r.rate)}"
        for r in race.table()
        if r.start == start and r.steps is not None
    )
    text = (
        "S4: momentum averages the zigzag away. Measured as the way across in the first hundred steps, in units of the"
        f" distance to go, it is shorter with momentum for η {ranges(less, race.rates)}, where gradient descent hardly"
        f" stops overshooting (at {said(race.rates[high])}: {said(heavy[high])} instead of {said(plain[high])}), and"
        f" longer for {ranges(more, race.rates)}: up to 0.01 gradient descent goes straight in, above that it zigzags"
        f" briefly, and the velocity swings (at {said(race.rates[low])}: {said(heavy[low])} instead of"
        f" {said(plain[low])}). What momentum gains is the long axis. Steps from {point(start)}: {steps}."
    )
    return textwrap.fill(text, 118, break_on_hyphens=False)


# ------------------------------------------------------------------------------------------------------ the digits


def on_the_digits() -> Iterator[tuple[str, ...]]:
    """A row for each optimizer, the lowest validation loss first."""
    model, data = jd.models.mlp([64, 32, 10]), jd.data.load("digits")
    rows = []
    for contestant in jd.race.field():
        runs = {}

        def make(learning_rate, contestant=contestant):
            return contestant(learning_rate)

        for rate in DIGITS_RATES:
            run = jd.fit(
                model, "sparse_softmax_cross_entropy", make, data, key=0, epochs=EPOCHS, validation=0.2,
                metrics="accuracy", hyperparameters={"learning_rate": rate},
            )  # fmt: skip
            if run.result == "done":
                runs[rate] = run.history
        rate = min(runs, key=lambda r: runs[r]["validation_loss"][-1])
        loss, accuracy = (runs[rate][f"validation_{name}"] for name in ("loss", "accuracy"))
        there = np.flatnonzero(np.asarray(accuracy) >= 0.95)
        epochs = str(there[0] + 1) if len(there) else ""
        rows.append(
            (float(loss[-1]), code(contestant.label), said(rate), f"{loss[-1]:.3f}", f"{accuracy[-1]:.3f}", epochs)
        )
    return iter([tuple(cells) for _, *cells in sorted(rows)])


if __name__ == "__main__":
    main(sys.argv[1:])
