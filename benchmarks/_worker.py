"""A contender's process: ``_worker.py MODULE:BUILDER FOLDER [--once EPOCHS]``.

When it is ready it says ``{}``; then it answers each line "epochs" with ``{"seconds": …}``. With ``--once`` it trains
that many epochs, answers and ends. It loads only what the contender imports: a fresh process is timed honestly.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _workloads


def main() -> None:
    where, folder, *once = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a framework prints goes to the log

    module, builder = where.split(":")
    run = getattr(importlib.import_module(module), builder)(_workloads.read(folder))
    if once:
        print(json.dumps({**timed(run, int(once[1])), "peak_memory": peak_memory()}), file=answers, flush=True)
        return
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(run, int(line))), file=answers, flush=True)


def timed(run: Callable[[int], Any], epochs: int) -> dict[str, Any]:
    """The seconds of ``run(epochs)``, and what it says itself, which may overrule them."""
    started = time.perf_counter()
    said = run(epochs) or {}
    return {"seconds": time.perf_counter() - started, **said}


def peak_memory() -> float:
    """The most memory this process has held so far, MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
