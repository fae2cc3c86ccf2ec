"""Errors of every activation and elementwise loss, in value and derivative, beside jax.nn, optax, PyTorch and Keras.

    python benchmarks/accuracy.py --date 2025-01-31
    python benchmarks/accuracy.py --quick --only tanh,gelu

float32: every 1021st bit pattern of all 2^32, and dense samples near transitions and roots; bfloat16 and float16: every
value. References are proven to at least 60 digits. An error is counted in units in the last place (ULP) of the
correctly rounded result; a derivative within 5 % of a root of it is counted apart.
"""

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported

import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from flint import arb

import _timing
from _formulas import Formula, formulas

FRAMEWORKS = ("jaxdict", "jax / optax", "PyTorch", "Keras")
PACKAGES = ("jax", "jaxlib", "optax", "torch", "keras", "python-flint", "numpy")
DIGITS = 60
STRIDE = 1021
NEAR = 0.05  # of a root, relative
SMALLEST = 2.0**-119  # float32 and bfloat16: below it results flush to zero, for everyone
TRANSITIONS = (
    0.3466, 0.5, 0.6, 0.7, 0.775, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0, 4.87, 6.0, 8.0, 9.01, 10.0, 12.0, 13.2, 14.5, 16.64,
    17.33, 20.0, 30.0, 43.67, 64.0, 80.0, 87.33, 88.72, 103.9, 128.0, 1e4, 1.84e19,
)  # fmt: skip
TYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16}


@dataclasses.dataclass(frozen=True)
class Exact:
    """The truth at ``x`` (as float64), for results of one type."""

    x: np.ndarray
    value: np.ndarray
    slope: np.ndarray
    digits: float  # the fewest that a sample of them was proven to


@dataclasses.dataclass(frozen=True)
class Errors:
    """The worst of one framework's results of one quantity."""

    ulp: float
    at: float
    near_root: float
    rounded: float  # the share that is correctly rounded
    wrong_nan: int
    wrong_inf: int
    missing_inf: int
    limits: bool  # right at -inf and inf
    lost: bool  # nothing of some result is left: mostly it is 0

    def text(self, *, share: bool = False) -> str:
        marks = [f"NaN×{self.wrong_nan}" * bool(self.wrong_nan), f"inf×{self.wrong_inf}" * bool(self.wrong_inf)]
        marks += ["¬inf" * bool(self.missing_inf), "±∞" * (not self.limits)]
        size = "LOST" if self.lost else f"{self.ulp:.2f}" if self.ulp < 100 else f"{self.ulp:.0f}"
        return " ".join(filter(None, [size, *marks, f"({self.rounded * 100:.1f})" * share]))


# ------------------------------------------------------------------------------------------------------- arguments


def neighbours(points: Sequence[float], count: int = 25) -> np.ndarray:
    """The float32 values nearest to each point, on both sides."""
    bits = np.asarray(points, np.float32).view(np.int32)[:, None] + np.arange(-count, count + 1, dtype=np.int32)
    return bits.ravel().view(np.float32)


def arguments_float32(formula: Formula, *, quick: bool) -> np.ndarray:
    """Sorted, without subnormal numbers and NaN, inside the formula's domain."""
    rng = np.random.default_rng(0)
    stride = STRIDE * (100 if quick else 1)
    sweep = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
    logarithmic = np.exp(rng.uniform(np.log(1.2e-38), np.log(3.4e38), 20_000))
    points = np.abs([*TRANSITIONS, *formula.roots])
    dense = [p * rng.uniform(1 - NEAR, 1 + NEAR, 2_000) for p in points]
    parts = [sweep, logarithmic, rng.uniform(0, 20, 40_000), rng.uniform(0, 110, 20_000), *dense,
             neighbours(points), [0.0, float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)]]  # fmt: skip
    one_side = np.concatenate([np.asarray(p, np.float32) for p in parts])
    return admissible(np.concatenate([one_side, -one_side]), formula)


def arguments_narrow(formula: Formula, dtype: Any) -> np.ndarray:
    """Every value of a 16-bit type, as float64; subnormal numbers only where XLA keeps them."""
    with np.errstate(invalid="ignore"):
        every = np.arange(2**16, dtype=np.uint16).view(dtype).astype(np.float64)
    return admissible(every, formula, subnormal=dtype == jnp.float16)


def admissible(x: np.ndarray, formula: Formula, *, subnormal: bool = False) -> np.ndarray:
    x = np.unique(x[np.isfinite(x)].astype(np.float64))
    if not subnormal:
        x = x[(x == 0) | (np.abs(x) >= np.finfo(np.float32).tiny)]
    low, high = formula.domain
    return x[(x >= low) & (x <= high)]


def exactly(formula: Formula, x: np.ndarray) -> Exact:
    """The reference at every argument; the digits are proven on every 97th."""
    value, slope = np.empty(len(x)), np.empty(len(x))
    digits = np.inf
    for i, argument in enumerate(x.tolist()):
        v, d = formula.reference(arb(argument))
        value[i], slope[i] = float(v), float(d)
        if np.isnan(value[i]) or np.isnan(slope[i]):
            raise ArithmeticError(f"the reference of {formula.name} says nothing at {argument!r}")
        if i % 97 == 0:
            for ball, number in ((v, value[i]), (d, slope[i])):
                if number and np.isfinite(number):
                    digits = min(digits, ball.rel_accuracy_bits() * np.log10(2))
    if digits < DIGITS:
        raise ArithmeticError(f"the reference of {formula.name} is proven to {digits:.0f} digits only")
    return Exact(x, value, slope, digits)


# --------------------------------------------------------------------------------------------------------- results

Results = tuple[np.ndarray, np.ndarray]  # value and derivative, float64


def run_jax(function: Callable, x: np.ndarray, dtype: Any) -> Results:
    def both(x):
        value, pull = jax.vjp(function, x)
        return value, pull(jnp.ones_like(value))[0]

    value, slope = jax.jit(both)(jnp.asarray(x, dtype))
    return np.asarray(value, np.float64), np.asarray(slope, np.float64)


def run_torch(function: Callable, x: np.ndarray, dtype: Any) -> Results:
    kind = {jnp.float32: torch.float32, jnp.bfloat16: torch.bfloat16, jnp.float16: torch.float16}[dtype]
    t = torch.tensor(x, dtype=torch.float64).to(kind).requires_grad_()
    value = function(torch.nn.functional, t)
    value.backward(torch.ones_like(value))
    return value.detach().double().numpy(), t.grad.double().numpy()


def contenders(formula: Formula) -> dict[str, Callable[[np.ndarray, Any], Results]]:
    """Framework -> what it computes."""
    found: dict[str, Callable[[np.ndarray, Any], Results]] = {}
    found["jaxdict"] = lambda x, dtype: run_jax(formula.ours, x, dtype)
    if formula.in_jax is not None:
        found["jax / optax"] = lambda x, dtype: run_jax(formula.in_jax, x, dtype)
    if formula.in_torch is not None:
        found["PyTorch"] = lambda x, dtype: run_torch(formula.in_torch, x, dtype)
    if formula.in_keras is not None:
        found["Keras"] = lambda x, dtype: run_jax(lambda v: jnp.ravel(formula.in_keras(keras, v)), x, dtype)
    return found


def units(exact: np.ndarray, dtype: Any) -> np.ndarray:
    """The distance of neighbouring numbers of ``dtype`` around the correctly rounded result."""
    info = jnp.finfo(dtype)
    rounded = np.abs(exact.astype(dtype).astype(np.float64))
    exponent = np.floor(np.log2(np.clip(rounded, float(info.tiny), float(info.max))))
    return 2.0 ** (exponent - info.nmant)


def compare(formula: Formula, got: np.ndarray, exact: np.ndarray, x: np.ndarray, result: Any) -> Errors:
    """Errors of ``got``; the last two places are the limits at -inf and inf."""
    ends_right = not formula.unbounded or bool(np.all(got[-2:] == exact[-2:].astype(result).astype(np.float64)))
    got, exact, x = got[:-2], exact[:-2], x[:-2]
    largest = float(jnp.finfo(result).max)
    overflow = np.abs(exact.astype(result).astype(np.float64)) > largest
    finite = ~overflow & np.isfinite(exact)
    smallest = float(jnp.finfo(jnp.float16).tiny) if result == jnp.float16 else SMALLEST
    counted = finite & np.isfinite(got) & ((np.abs(exact) >= smallest) | (exact == 0))
    if formula.tail is not None:
        counted &= x >= formula.tail
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.where(counted, np.abs(got - exact) / units(exact, result), 0.0)
    near = np.zeros(len(x), bool)
    for root in formula.roots:
        near |= np.abs(x / root - 1) < NEAR
    off = np.where(near, 0.0, error)
    worst = int(np.argmax(off))
    rounded = got == exact.astype(result).astype(np.float64)
    return Errors(
        ulp=float(off[worst]), at=float(x[worst]), near_root=float(np.max(np.where(near, error, 0.0))),
        rounded=float(np.mean(rounded[counted])), wrong_nan=int(np.sum(np.isnan(got) & ~np.isnan(exact))),
        wrong_inf=int(np.sum(np.isinf(got) & finite)), missing_inf=int(np.sum(overflow & np.isfinite(got))),
        limits=ends_right, lost=bool(off[worst] > 0.9 * 2.0 ** jnp.finfo(result).nmant),
    )  # fmt: skip


def limits(formula: Formula) -> tuple[np.ndarray, np.ndarray]:
    """Value and derivative at -inf and inf, read off far outside; what is still large there is infinite."""
    if not formula.unbounded:
        return np.zeros(2), np.zeros(2)
    ends = [formula.reference(arb(sign) * arb("1e60")) for sign in (-1, 1)]
    pairs = np.array([[float(v), float(d)] for v, d in ends])
    pairs = np.where(np.abs(pairs) > 1e30, np.copysign(np.inf, pairs), np.where(np.abs(pairs) < 1e-30, 0.0, pairs))
    return pairs[:, 0], pairs[:, 1]


def measure(formula: Formula, *, quick: bool) -> dict[str, dict[str, dict[str, Errors]]]:
    """Type -> framework -> 'value' and 'derivative' -> errors."""
    report: dict[str, dict[str, dict[str, Errors]]] = {}
    value_ends, slope_ends = limits(formula)
    fewest = np.inf
    for name, dtype in TYPES.items():
        x = arguments_float32(formula, quick=quick) if name == "float32" else arguments_narrow(formula, dtype)
        truth = exactly(formula, x)
        fewest = min(fewest, truth.digits)
        ends = [-np.inf, np.inf] if formula.unbounded else [x[0], x[-1]]
        inputs = np.concatenate([x, ends])
        slopes = np.concatenate([truth.slope, slope_ends])
        report[name] = {}
        for framework, function in contenders(formula).items():
            value, slope = function(inputs, dtype)
            slope = np.where(np.isin(inputs, formula.kinks), slopes, slope)  # conventions differ; the tests hold ours
            value = value.astype(dtype).astype(np.float64)  # our losses of narrow floats come back in float32
            report[name][framework] = {
                "value": compare(formula, value, np.concatenate([truth.value, value_ends]), inputs, dtype),
                "derivative": compare(formula, slope, slopes, inputs, dtype),
            }
    print(
        f"{formula.name}: {len(x)} … {f'proven to {fewest:.0f} digits' if fewest < 1e6 else 'exact'}",
        file=sys.stderr,
        flush=True,
    )
    return report


# ------------------------------------------------------------------------------------------------------------ page


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One thing that is asked of one formula."""

    formula: str
    what: str
    got: float
    allowed: float

    @property
    def met(self) -> bool:
        return self.got <= self.allowed


def judge(formula: Formula, report: dict[str, dict[str, dict[str, Errors]]]) -> list[Verdict]:
    """Errors in float32 against the figure of the formula or the best peer; everything else must not happen at all."""
    verdicts = []

    def ask(what: str, got: float, allowed: float) -> None:
        verdicts.append(Verdict(formula.name, what, got, allowed))

    for index, quantity in enumerate(("value", "derivative")):
        ours = report["float32"]["jaxdict"][quantity]
        peers = [errors[quantity] for name, errors in report["float32"].items() if name != "jaxdict"]
        best = min((p.ulp for p in peers), default=np.inf) + 0.5
        allowed = best if formula.reached is None else formula.reached[index]
        allowed = round(allowed * 1.05 + 0.05, 2)  # the figures have one decimal, and a wider sweep finds worse places
        ask(f"{quantity}, ULP", ours.ulp, allowed)
        if formula.roots_counted and quantity == "derivative":
            ask("derivative near its root, ULP", ours.near_root, allowed)
        for name in TYPES:
            errors = report[name]["jaxdict"][quantity]
            wrong = errors.wrong_nan + errors.wrong_inf + errors.missing_inf + (not errors.limits) + errors.lost
            ask(f"{quantity}, {name}: NaN, infinities, limits, lost", wrong, 0)
            if name != "float32":
                ask(f"{quantity}, {name}: wrongly rounded, %", 100 * (1 - errors.rounded), 0.5)
    return verdicts


def page(date: str, chosen: Sequence[Formula], reports: dict[str, Any], verdicts: Sequence[Verdict]) -> str:
    parts = [
        "# Accuracy of activations and losses",
        "\n".join(_timing.machine(PACKAGES, date)),
        "`benchmarks/accuracy.py`: the largest error of value and derivative, in units in the last place of\n"
        "the correctly rounded result (0.5: correctly rounded), over all finite arguments but subnormal ones; jitted.\n"
        "LOST: nothing of the result is left, mostly it is 0. NaN×n, inf×n: wrong n times; ¬inf: an infinity is\n"
        "missing; ±∞: wrong at infinite arguments. Results below 2⁻¹¹⁹ flush to zero in XLA and are not counted, nor\n"
        "are derivatives within 5 % of their root (below) and at kinks. In brackets: per cent correctly rounded.\n"
        f"References are proven to {DIGITS} digits or more.",
    ]
    for name in TYPES:
        arguments = (
            "every 1021st bit pattern and dense samples near transitions" if name == "float32" else "every value"
        )
        parts += [f"## {name}: {arguments}", kind_table(name, chosen, reports)]
    rows = [
        [f.name, *(f"{reports[f.name]['float32'][name]['derivative'].near_root:.3g}"
                   if name in reports[f.name]["float32"] else "–" for name in FRAMEWORKS)]
        for f in chosen if f.roots
    ]  # fmt: skip
    if rows:
        parts += ["## float32: the derivative within 5 % of its root, ULP", _timing.table(["", *FRAMEWORKS], rows)]
    missed = [v for v in verdicts if not v.met]
    parts += [f"## What is asked\n\n{len(verdicts) - len(missed)} of {len(verdicts)} met."]
    if missed:
        rows = [[v.formula, v.what, f"{v.got:.3g}", f"{v.allowed:.3g}"] for v in missed]
        parts.append(_timing.table(["", "", "got", "allowed"], rows))
    return "\n\n".join(parts)


def kind_table(name: str, chosen: Sequence[Formula], reports: dict[str, Any]) -> str:
    head = ["", *(f"{framework}: {what}" for framework in FRAMEWORKS for what in ("value", "derivative"))]
    rows = []
    for formula in chosen:
        row = [formula.name]
        for framework in FRAMEWORKS:
            errors = reports[formula.name][name].get(framework)
            row += ["–", "–"] if errors is None else [errors[q].text(share=name != "float32") for q in errors]
        rows.append(row)
    return _timing.table(head, rows)


@np.errstate(over="ignore", invalid="ignore")  # results that overflow a narrow type are counted, not warned of
def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--only", default="", help="names, separated by semicolons")

    chosen_options = _timing.arguments(__doc__, options)
    every = formulas()
    wanted = [n.strip() for n in chosen_options.only.split(";") if n.strip()]
    chosen = [f for f in every if not wanted or f.name in wanted]
    reports = {f.name: measure(f, quick=chosen_options.quick) for f in chosen}
    verdicts = [v for f in chosen for v in judge(f, reports[f.name])]
    raw = json.loads(json.dumps(reports, default=dataclasses.asdict))
    whole = not chosen_options.quick and len(chosen) == len(every)
    _timing.publish("accuracy", page(chosen_options.date, chosen, reports, verdicts), raw, write=whole)
    sys.exit(any(not v.met for v in verdicts))


if __name__ == "__main__":
    main()
