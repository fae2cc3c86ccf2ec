"""Timing that is fair on a noisy machine: contenders take turns, nobody runs beside another, medians are compared."""

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def environment() -> dict[str, str]:
    """For child processes: the package of this checkout, and no compilation remembered from an earlier process."""
    path = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    kept = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    return {**kept, "PYTHONPATH": path, "JAX_ENABLE_COMPILATION_CACHE": "false", "KERAS_BACKEND": "jax"}


class WorkerFailed(RuntimeError):
    """A contender's process ended; the message ends with what it said last."""


class Worker:
    """One contender in a process of its own: a line with a number of epochs goes in, a line of JSON comes out."""

    def __init__(self, command: Sequence[str]):
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- lives as long as the process
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment(),
        )

    def pause(self) -> None:
        """Stop the process, so that its spinning thread pools cannot take the cores from the others."""
        self.process.send_signal(signal.SIGSTOP)

    def turn(self, epochs: int) -> dict[str, Any]:
        """Train ``epochs`` epochs and give back the reply; the process is paused before and after."""
        assert self.process.stdin is not None
        self.process.send_signal(signal.SIGCONT)
        try:
            print(epochs, file=self.process.stdin, flush=True)
            return self.reply()
        finally:
            self.pause()

    def reply(self) -> dict[str, Any]:
        """The next line that the process writes, decoded."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise WorkerFailed("\n".join(self.log.read().splitlines()[-8:]))
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def alternate(contenders: Iterable[str], rounds: int) -> Iterator[tuple[int, str]]:
    """``(round, contender)``: every round visits all, each from another start and in turned direction."""
    order = list(contenders)
    for index in range(rounds):
        start = index % max(1, len(order))
        turn = order[start:] + order[:start]
        yield from ((index, name) for name in (turn if index % 2 == 0 else turn[::-1]))


def fresh(command: Sequence[str]) -> tuple[float, dict[str, Any]]:
    """Seconds from the start of a new Python process to its first reply, and the reply."""
    started = time.perf_counter()
    worker = Worker(command)
    try:
        reply = worker.reply()
        return time.perf_counter() - started, reply
    finally:
        worker.close()


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of the ratios of the rounds: what slowed a whole round slows both sides of its ratio."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def machine(packages: Sequence[str], date: str) -> list[str]:
    """Lines that say where and when: processor, cores, memory, versions."""
    cpu, memory = platform.processor() or platform.machine(), ""
    if Path("/proc/cpuinfo").exists():
        names = [s.split(":")[1].strip() for s in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in s]
        cpu = names[0] if names else cpu
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"{package} –")
    return [
        f"Machine: {cpu}, {len(os.sched_getaffinity(0))} cores{memory}; Python {platform.python_version()}.",
        f"Versions: {', '.join(versions)}." + (f" Date: {date}." if date else ""),
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table; every column but the first is aligned right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def arguments(description: str | None, add: Callable[[argparse.ArgumentParser], None]) -> argparse.Namespace:
    """The command line of a benchmark, with what all of them have."""
    parser = argparse.ArgumentParser(description=description)
    add(parser)
    parser.add_argument("--date", default="", help="the day of the measurement, for the page")
    parser.add_argument("--quick", action="store_true", help="only see that it works: few turns, nothing is written")
    return parser.parse_args()


def publish(name: str, text: str, data: Mapping[str, Any], *, write: bool) -> None:
    """Print the page, and write it with its raw numbers to ``results/`` unless this is only a check."""
    print(text)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text + "\n")
        (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
