"""One model, Adam 1e-3: ``fit`` beside its peers, the first epoch of a fresh process, and peak memory.

    python benchmarks/train.py --date 2025-01-31
    python benchmarks/train.py --quick --only digits --peers jaxdict,scan

Every contender has a process of its own and runs alone; rounds alternate. Only ratios of one run mean anything. The
page is written to ``results/`` when all workloads and contenders were measured.
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import _timing
import _workloads

WORKER = str(_timing.HERE / "_worker.py")
PACKAGES = ("jax", "jaxlib", "optax", "keras", "torch", "flax", "scikit-learn", "numpy")


class Contender(NamedTuple):
    """``builder`` is MODULE:FUNCTION; ``tail``: whether it trains on the last, partial batch too."""

    builder: str
    label: str
    tail: bool = False


CONTENDERS = {
    "jaxdict": Contender("_peers:jaxdict", "jaxdict `fit`", tail=True),
    "jaxdict_validated": Contender("_peers:jaxdict_validated", "jaxdict `fit`, validation each epoch", tail=True),
    "same_work": Contender("_scan:same_work", "scan that does the same work, validation each epoch", tail=True),
    "scan": Contender("_scan:bare_optax", "bare scan, optax.adam"),
    "scan_hand": Contender("_scan:bare_hand", "bare scan, Adam by hand"),
    "loop": Contender("_scan:loop", "jitted step in a Python loop"),
    "keras": Contender("_peers:keras", "Keras, JAX backend", tail=True),
    "keras_executions": Contender("_peers:keras_executions", "Keras, steps_per_execution = an epoch", tail=True),
    "flax": Contender("_peers:flax", "Flax NNX, nnx.jit, cached"),
    "torch_fused": Contender("_peers:torch_fused", "PyTorch, fused Adam"),
    "torch": Contender("_peers:torch", "PyTorch, Adam"),
    "sklearn": Contender("_peers:sklearn", "scikit-learn MLPClassifier", tail=True),
    "floor": Contender("_floor:floor", "arithmetic floor"),
}
FRESH = ("jaxdict", "jaxdict_validated", "scan", "same_work", "keras", "torch_fused")


class Goal(NamedTuple):
    """``ours`` takes at most ``limit`` times what ``theirs`` takes."""

    tasks: tuple[str, ...]
    ours: str
    theirs: str
    limit: float


ALL = tuple(_workloads.TASKS)
STEADY_GOALS = (
    Goal(("digits",), "jaxdict", "keras", 1 / 4),
    Goal(("digits",), "jaxdict", "torch_fused", 1 / 6),
    Goal(("digits",), "jaxdict", "sklearn", 1 / 6),
    Goal(("fm32",), "jaxdict", "loop", 1 / 1.3),
    Goal(("fm128",), "jaxdict", "loop", 1),
    Goal(("fm128",), "jaxdict", "keras", 1 / 1.35),
    Goal(("fm128",), "jaxdict", "torch_fused", 1 / 1.8),
    Goal(ALL, "jaxdict_validated", "same_work", 1.05),
    Goal(ALL, "jaxdict_validated", "scan", 1.12),
    Goal(("digits",), "jaxdict", "floor", 2.0),
    Goal(("fm32",), "jaxdict", "floor", 1.4),
    Goal(("fm128",), "jaxdict", "floor", 1.3),
)
FRESH_GOALS = (Goal(ALL, "jaxdict", "scan", 1.2),)
Seconds = dict[str, list[float]]  # contender -> one figure per round


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    tasks = [_workloads.TASKS[name] for name in options.only]
    if options.quick:
        tasks = [dataclasses.replace(task, epochs=max(1, task.epochs // 60)) for task in tasks]
    rounds, fresh_rounds = (2, 1) if options.quick else (options.rounds, options.fresh_rounds)
    steady: dict[str, dict[str, Seconds]] = {}
    first: dict[str, dict[str, Seconds]] = {}
    memory: dict[str, Seconds] = {}
    with tempfile.TemporaryDirectory() as folder:
        written = [_workloads.write(task, Path(folder, task.name)) for task in tasks]
        for task in written:
            steady[task.name] = measure_steady(task, options.peers, rounds)
        for task in written:
            if task.name in ("digits", "fm128"):
                first[task.name] = measure_fresh(task, options.peers, fresh_rounds, epochs=1)
            if task.name == "fm128":
                memory[task.name] = measure_fresh(task, options.peers, fresh_rounds, task.epochs)["memory"]
    text = "\n\n".join(page(options.date, written, steady, first, memory))
    complete = not options.quick and {*options.only, *options.peers} == {*_workloads.TASKS, *CONTENDERS}
    _timing.publish("train", text, {"steady": steady, "first": first, "memory": memory}, write=complete)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = lambda known: lambda text: [known_name(name, known) for name in text.split(",")]  # noqa: E731
    parser.add_argument("--only", type=names(_workloads.TASKS), default=list(_workloads.TASKS), help="workloads")
    parser.add_argument("--peers", type=names(CONTENDERS), default=list(CONTENDERS), help="contenders, by name")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each contender")
    parser.add_argument("--fresh-rounds", type=int, default=7, help="fresh processes of each contender")


def known_name(name: str, known: dict[str, object]) -> str:
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
    return name


def measure_steady(task: _workloads.Task, peers: list[str], rounds: int) -> dict[str, Seconds]:
    """Microseconds a full step by the outer clock, and by the contender's own clock where it has one."""
    outer: Seconds = {}
    inner: Seconds = {}
    workers = dict(started(task, peers))
    try:
        for index, name in _timing.alternate(workers, rounds):
            note(f"{task.name} round {index + 1}/{rounds} {name}")
            reply = workers[name].turn(task.epochs)
            scale = 1e6 / (task.epochs * task.steps)
            outer.setdefault(name, []).append(reply["seconds"] * scale)
            if "inner_seconds" in reply:
                inner.setdefault(name, []).append(reply["inner_seconds"] * scale)
    finally:
        for worker in workers.values():
            worker.close()
    return {"outer": {name: outer[name] for name in workers}, "inner": inner}


def started(task: _workloads.Task, peers: list[str]) -> Iterator[tuple[str, _timing.Worker]]:
    """A warmed-up, paused worker for each contender that runs here; the others are named with their error."""
    for name in peers:
        note(f"{task.name} warm-up {name}")
        worker = _timing.Worker([WORKER, CONTENDERS[name].builder, task.folder])
        try:
            worker.reply()
            worker.turn(task.epochs)
        except _timing.WorkerFailed as error:
            print(f"{name} does not run here: {error}", file=sys.stderr)
            worker.close()
        else:
            yield name, worker


def measure_fresh(task: _workloads.Task, peers: list[str], rounds: int, epochs: int) -> dict[str, Seconds]:
    """Seconds from the start of a process to the end of its ``epochs``-th epoch, and its peak memory in MiB."""
    seconds: Seconds = {}
    memory: Seconds = {}
    names = [name for name in FRESH if name in peers]
    for index, name in _timing.alternate(names, rounds):
        note(f"{task.name} fresh {index + 1}/{rounds} {name}")
        taken, reply = _timing.fresh([WORKER, CONTENDERS[name].builder, task.folder, "--once", str(epochs)])
        seconds.setdefault(name, []).append(taken)
        memory.setdefault(name, []).append(reply["peak_memory"])
    return {"seconds": seconds, "memory": memory}


def note(text: str) -> None:
    """Say what runs now, on the terminal only."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def page(date: str, tasks: list[_workloads.Task], steady, first, memory) -> Iterator[str]:
    """The paragraphs of the results page."""
    yield "# Training one model, Adam 1e-3"
    yield "\n".join(_timing.machine(PACKAGES, date))
    yield (
        "`benchmarks/train.py`: each contender in a process of its own, one at a time, in alternating rounds.\n"
        "Ratios are medians over the rounds, and only they carry over to another machine."
    )
    for task in tasks:
        yield steady_section(task, steady[task.name])
    yield from goal_section("Goals, steady state", STEADY_GOALS, {n: t["outer"] for n, t in steady.items()})
    for name, times in first.items():
        yield f"## {name}: the first epoch of a fresh process"
        yield "From the start of Python to the epoch's end, imports and compilation included."
        yield comparison("seconds", times["seconds"], "{:.2f}")
    yield from goal_section("Goals, first epoch", FRESH_GOALS, {n: t["seconds"] for n, t in first.items()})
    for task in tasks:
        if task.name in memory:
            yield f"## {task.name}: peak memory"
            yield f"The most that a fresh process held (`VmHWM`) over {task.epochs} epochs."
            yield comparison("MiB", memory[task.name], "{:.0f}")


def steady_section(task: _workloads.Task, times: dict[str, Seconds]) -> str:
    widths = "-".join(map(str, task.widths))
    lines = [
        f"## {task.name}: {task.examples} examples, MLP {widths}, batch {task.batch}",
        f"Time of a whole call that trains {task.epochs} epochs, divided by its {task.steps} full batches an epoch. "
        "*Tail*: the last, partial batch is\ntrained on too, and so counts as extra work.",
        comparison("µs per step", times["outer"], "{:.1f}", tail=True),
    ]
    for name, inner in times["inner"].items():
        lines.append(f"By its own history {CONTENDERS[name].label} took {_timing.spread(inner)[1]:.1f} µs per step.")
    return "\n\n".join(lines)


def comparison(unit: str, times: Seconds, form: str, *, tail: bool = False) -> str:
    """A row per contender: median, quartiles, and how many times as long it takes as each of ours."""
    ours = [name for name in ("jaxdict", "jaxdict_validated") if name in times]
    head = ["", unit, "quartiles", *(["tail"] if tail else []), *(f"÷ {CONTENDERS[o].label}" for o in ours)]
    rows = []
    for name, values in times.items():
        low, middle, high = (form.format(v) for v in _timing.spread(values))
        extra = ["yes" if CONTENDERS[name].tail else "–"] if tail else []
        ratios = [f"{_timing.ratio(values, times[o]):.2f}" for o in ours]
        rows.append([CONTENDERS[name].label, middle, f"{low} – {high}", *extra, *ratios])
    return _timing.table(head, rows)


def goal_section(title: str, goals: tuple[Goal, ...], times: dict[str, Seconds]) -> Iterator[str]:
    """What is aimed at, and what came out; nothing when no goal can be judged."""
    rows = []
    for goal in goals:
        for name in goal.tasks:
            if name not in times or not {goal.ours, goal.theirs} <= times[name].keys():
                continue
            reached = _timing.ratio(times[name][goal.ours], times[name][goal.theirs])
            labels = f"{CONTENDERS[goal.ours].label} ÷ {CONTENDERS[goal.theirs].label}"
            met = "yes" if reached <= goal.limit else "no"
            rows.append([f"{name}: {labels}", f"≤ {goal.limit:.2f}", f"{reached:.2f}", met])
    if rows:
        yield f"## {title}"
        yield _timing.table(["", "goal", "measured", "met"], rows)


if __name__ == "__main__":
    main()
