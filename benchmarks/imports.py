"""What ``import jaxdict`` costs beside ``import optax``, and what it drags in.

    python benchmarks/imports.py --date 2025-01-31

Each import is timed in fresh processes that take turns, from inside: starting Python itself is left out.
"""

import argparse
import json
import subprocess
import sys

import _timing

STATEMENTS = {
    "jax": "import jax",
    "optax": "import optax",
    "jaxdict": "import jaxdict",
    "rooms": "import jaxdict; jaxdict.fit; jaxdict.models; jaxdict.lookup",
}
EXTRAS = (
    "sklearn",
    "matplotlib",
    "rich",
    "pydantic",
    "typer",
    "safetensors",
    "tensorboardX",
    "pandas",
    "scipy",
    "chex",
)
PACKAGES = ("jax", "jaxlib", "optax", "chex", "numpy")
CHILD = """
import json, sys, time
started = time.perf_counter()
{statement}
seconds = time.perf_counter() - started
print(json.dumps([seconds, [name for name in {extras} if name in sys.modules]]))
"""


def imported(statement: str) -> tuple[float, list[str]]:
    """Seconds of a statement in a fresh process, and which extras it loaded."""
    code = CHILD.format(statement=statement, extras=EXTRAS)
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_timing.environment()
    )
    seconds, loaded = json.loads(answer.stdout)
    return seconds, loaded


def main() -> None:
    options = _timing.arguments(__doc__, add_arguments)
    rounds = 2 if options.quick else options.rounds
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    loaded = {name: imported(statement)[1] for name, statement in STATEMENTS.items()}  # fills the file cache too
    for _, name in _timing.alternate(STATEMENTS, rounds):
        seconds[name].append(imported(STATEMENTS[name])[0])
    rows = []
    for name, statement in STATEMENTS.items():
        low, middle, high = (f"{v:.3f}" for v in _timing.spread(seconds[name]))
        beside = f"{_timing.ratio(seconds[name], seconds['optax']):.2f}"
        rows.append([f"`{statement}`", middle, f"{low} – {high}", beside, ", ".join(loaded[name]) or "none"])
    text = "\n\n".join(
        [
            "# Imports",
            "\n".join(_timing.machine(PACKAGES, options.date)),
            f"`benchmarks/imports.py`: {rounds} fresh processes each, in turn; the start of Python is left out.",
            _timing.table(["", "seconds", "quartiles", "÷ optax", "extras loaded"], rows),
            f"Looked for: {', '.join(EXTRAS)}.",
        ]
    )
    _timing.publish("imports", text, {"seconds": seconds, "loaded": loaded}, write=not options.quick)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="fresh processes for each import")


if __name__ == "__main__":
    main()
