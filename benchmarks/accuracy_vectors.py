"""Errors of softmax, its losses, relative entropy and cosine similarity, beside jax.nn, optax, PyTorch and Keras.

    python benchmarks/accuracy_vectors.py --date 2025-01-31
    python benchmarks/accuracy_vectors.py --quick --only softmax

Groups of rows, float32: logits of several scales and numbers of classes, at offsets, where one class dominates, all
3e38, with -inf among them; probabilities with zeros and nearly equal ones; vectors of all lengths. References are
ball arithmetic (Arb), proven to at least 60 digits. An error is counted in units in the last place (ULP) of the
correctly rounded result, for the cosine in those of 1. The gradient of softmax and its logarithm is that of one result.
"""

import argparse
import dataclasses
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # read when keras is imported

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax
import torch
from flint import arb, ctx

import _timing
import jaxdict as jd

ctx.prec = 1600  # 1 less the probability of what dominates by hundreds, to 60 digits
FRAMEWORKS = ("jaxdict", "jax / optax", "PyTorch", "Keras")
PACKAGES = ("jax", "jaxlib", "optax", "torch", "keras", "python-flint", "numpy")
DIGITS = 60
SMALLEST = 2.0**-119  # below it results flush to zero, for everyone
ZERO = arb(0)

Rows = list[tuple[list[arb], list[arb]]]  # per row: the value, one number or many, and the gradient


@dataclasses.dataclass(frozen=True)
class Group:
    """Rows of one kind and the second argument; ``allowed`` in value and gradient, where a figure exists."""

    name: str
    first: np.ndarray
    second: np.ndarray
    allowed: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """One function in all frameworks; ``reference(row, second) -> (value, gradient)``."""

    name: str
    groups: Sequence[Group]
    reference: Callable[[Sequence[float], Any], tuple[list[arb], list[arb]]]
    functions: dict[str, Callable[[Any, Any], Any]]
    absolute: bool = False  # in units of 1


# ---------------------------------------------------------------------------------------------------- exact references


def exponentials(row: Sequence[float]) -> tuple[list[arb], list[arb], int]:
    """Logits less the largest (None where -inf), their exp, and the place of the largest."""
    top = max(row)
    z = [arb(v) - arb(top) if v != -np.inf else None for v in row]
    return z, [ZERO if v is None else v.exp() for v in z], row.index(top)


def softmax_reference(row, weights):
    _, e, _ = exponentials(row)
    total = sum(e, ZERO)
    a = [v / total for v in e]
    mean = sum((p * arb(w) for p, w in zip(a, weights, strict=True)), ZERO)
    return a, [p * (arb(w) - mean) for p, w in zip(a, weights, strict=True)]


def log_softmax_reference(row, weights):
    z, e, top = exponentials(row)
    log_total = sum((v for k, v in enumerate(e) if k != top), ZERO).log1p()
    total, sum_of_weights = sum(e, ZERO), sum(map(arb, weights), ZERO)
    values = [arb("-inf") if v is None else v - log_total for v in z]
    return values, [arb(w) - p / total * sum_of_weights for p, w in zip(e, weights, strict=True)]


def sparse_reference(row, label):
    _, e, _ = exponentials(row)
    others = sum((v for k, v in enumerate(e) if k != label), ZERO)
    total = others + e[label]
    loss = (others / e[label]).log1p()
    return [loss], [-others / total if k == label else v / total for k, v in enumerate(e)]


def dense_reference(row, targets):
    z, e, top = exponentials(row)
    others = sum((v for k, v in enumerate(e) if k != top), ZERO)
    log_total, total = others.log1p(), others + 1
    surprise = [None if v is None else log_total - v for v in z]
    y = [arb(t) for t in targets]
    loss = sum((t * s for t, s in zip(y, surprise, strict=True) if t != 0), ZERO)
    mass = sum(y, ZERO)
    return [loss], [p / total * mass - t for p, t in zip(e, y, strict=True)]


def relative_entropy_reference(q, p):
    terms = [ZERO if b == 0 else arb(b) * (arb(b) / arb(a)).log() for a, b in zip(q, p, strict=True)]
    return [sum(terms, ZERO)], [-arb(b) / arb(a) if b else ZERO for a, b in zip(q, p, strict=True)]


def cosine_reference(a, b):
    u, v = [arb(x) for x in a], [arb(x) for x in b]
    length, other = (sum((x * x for x in w), ZERO).sqrt() for w in (u, v))
    if not any(a) or not any(b):
        return [ZERO], [ZERO] * len(a)
    c = sum((x * y for x, y in zip(u, v, strict=True)), ZERO) / (length * other)
    return [c], [y / other - c * x / length for x, y in zip(u, v, strict=True)]  # times the length


# ---------------------------------------------------------------------------------------------------------- the groups


def logits(rng: np.random.Generator, rows: int, classes: int, scale: float) -> np.ndarray:
    return (scale * rng.normal(size=(rows, classes))).astype(np.float32)


def logit_groups(second: Callable[[np.ndarray, bool], np.ndarray], figures: dict, *, quick: bool) -> list[Group]:
    rng = np.random.default_rng(0)
    rows, long = (8, 4) if quick else (512, 64)
    groups = []

    def add(name, z, figure=None, dominant=False):
        groups.append(Group(name, z, second(z, dominant), figures.get(figure)))

    for scale in (0.1, 1.0, 10.0, 100.0):
        for classes in (2, 10, 1000):
            z = logits(rng, rows if classes < 1000 else long, classes, scale)
            figure = "plain" if scale <= 1 and classes > 2 else "scaled"
            add(f"scale {scale:g}, {classes} classes", z, figure)
    for offset in (1e2, 1e4, 1e6):
        add(f"offset {offset:g}", (logits(rng, rows, 10, 1) + np.float32(offset)).astype(np.float32), "plain")
    for gap in (5.0, 20.0):
        z = logits(rng, rows, 10, 1)
        z[np.arange(rows), rng.integers(0, 10, rows)] += np.float32(gap)
        add(f"one dominates by {gap:g}", z, "dominant", True)
    add("all 3e38", np.full((rows, 10), 3e38, np.float32), "plain")
    z = logits(rng, rows, 10, 1)
    z[np.arange(rows), rng.integers(1, 10, rows)] = -np.inf
    add("with -inf", z, "plain")
    return groups


def labels_for(z, dominant):
    return np.argmax(z, -1) if dominant else np.zeros(len(z), np.int64)


def one_hot_for(z, dominant):
    return np.eye(z.shape[1], dtype=np.float32)[labels_for(z, dominant)]


def entropy_groups(*, quick: bool) -> list[Group]:
    rng = np.random.default_rng(1)
    rows = 8 if quick else 64

    def distributions():
        return rng.dirichlet(np.ones(10), rows).astype(np.float32)

    q, p = distributions(), distributions()
    zeros = p.copy()
    zeros[:, ::3] = 0
    both = q.copy()
    both[:, ::3] = 0
    close = (p * (1 + 1e-4 * rng.normal(size=p.shape))).astype(np.float32)
    # No figure for nearly equal ones: what the terms cancel to is theirs.
    return [
        Group("plain", q, p, (8.0, 1.0)),
        Group("targets of 0", q, zeros, (8.0, 1.0)),
        Group("both 0", both, zeros, (8.0, 1.0)),
        Group("equal", p, p.copy(), (0.0, 1.0)),
        Group("nearly equal", close, p),
    ]


def cosine_groups(*, quick: bool) -> list[Group]:
    rng = np.random.default_rng(2)
    rows = 8 if quick else 64
    groups = []
    for scale in (1e-30, 1e-22, 1e-10, 1.0, 1e10, 1e19, 1e30):
        a, b = (rng.normal(size=(rows, 32)) for _ in range(2))
        groups.append(Group(f"scale {scale:g}", (scale * a).astype(np.float32), b.astype(np.float32), (2.0, 1.5)))
    a = rng.normal(size=(rows, 32)).astype(np.float32)
    groups.append(Group("parallel", a, 3 * a, (2.0, 1.5)))
    groups.append(Group("a vector of 0", np.zeros_like(a), a, (0.0, 0.0)))
    return groups


# ---------------------------------------------------------------------------------------------------------- frameworks


def torch_softmax_ce(z, labels):
    return torch.nn.functional.cross_entropy(z, labels, reduction="none")


def tasks(*, quick: bool) -> list[Task]:
    functional = torch.nn.functional
    sparse = {"plain": (3.5, 7.3), "scaled": (35.0, 35.0), "dominant": (9.0, 18.0)}
    return [
        Task("softmax", logit_groups(one_hot_for, {}, quick=quick), softmax_reference, {
            "jaxdict": lambda z, w: jd.activations.softmax(z), "jax / optax": lambda z, w: jax.nn.softmax(z),
            "PyTorch": lambda z, w: functional.softmax(z, -1), "Keras": lambda z, w: keras.ops.softmax(z)}),
        Task("log_softmax", logit_groups(one_hot_for, {}, quick=quick), log_softmax_reference, {
            "jaxdict": lambda z, w: jd.activations.log_softmax(z), "jax / optax": lambda z, w: jax.nn.log_softmax(z),
            "PyTorch": lambda z, w: functional.log_softmax(z, -1), "Keras": lambda z, w: keras.ops.log_softmax(z)}),
        Task("sparse_softmax_cross_entropy", logit_groups(labels_for, sparse, quick=quick), sparse_reference, {
            "jaxdict": jd.losses.sparse_softmax_cross_entropy,
            "jax / optax": optax.softmax_cross_entropy_with_integer_labels, "PyTorch": torch_softmax_ce,
            "Keras": lambda z, y: keras.ops.sparse_categorical_crossentropy(y, z, from_logits=True)}),
        Task("softmax_cross_entropy", logit_groups(one_hot_for, sparse, quick=quick), dense_reference, {
            "jaxdict": jd.losses.softmax_cross_entropy, "jax / optax": optax.softmax_cross_entropy,
            "PyTorch": torch_softmax_ce,
            "Keras": lambda z, y: keras.ops.categorical_crossentropy(y, z, from_logits=True)}),
        Task("kl_divergence", entropy_groups(quick=quick), relative_entropy_reference, {
            "jaxdict": jd.losses.kl_divergence, "jax / optax": lambda q, p: optax.kl_divergence(jnp.log(q), p),
            "PyTorch": lambda q, p: functional.kl_div(q.log(), p, reduction="none").sum(-1),
            "Keras": lambda q, p: keras.losses.kl_divergence(p, q)}),
        Task("cosine_similarity", cosine_groups(quick=quick), cosine_reference, {
            "jaxdict": jd.losses.cosine_similarity, "jax / optax": lambda a, b: optax.cosine_similarity(a, b),
            "PyTorch": lambda a, b: functional.cosine_similarity(a, b, -1),
            "Keras": lambda a, b: -keras.losses.cosine_similarity(b, a)}, absolute=True),
    ]  # fmt: skip


def run(task: Task, framework: str, first: np.ndarray, second: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and gradients, float64; the gradient is weighted where the value is a row."""
    function = task.functions[framework]
    row_valued = task.name in ("softmax", "log_softmax")
    if framework == "PyTorch":
        x, second = torch.tensor(first, requires_grad=True), torch.tensor(second)
        value = function(x, second)
        value.backward(second if row_valued else torch.ones_like(value))
        return value.detach().double().numpy(), x.grad.double().numpy()

    def both(x, second):
        value, pull = jax.vjp(lambda v: function(v, second), x)
        return value, pull(second if row_valued else jnp.ones_like(value))[0]

    value, gradient = jax.jit(both)(first, jnp.asarray(second))
    return np.asarray(value, np.float64), np.asarray(gradient, np.float64)


# -------------------------------------------------------------------------------------------------------------- errors


@dataclasses.dataclass(frozen=True)
class Errors:
    """The worst of one framework in one group: of the value or of the gradient."""

    ulp: float
    nan: int
    lost: bool

    def text(self) -> str:
        size = "LOST" if self.lost else f"{self.ulp:.2f}" if self.ulp < 100 else f"{self.ulp:.3g}"
        return size + f" NaN×{self.nan}" * bool(self.nan)


def exactly(task: Task, group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient as float64; the digits are proven on every row."""
    values, gradients = [], []
    for row, second in zip(group.first.tolist(), group.second.tolist(), strict=True):
        value, gradient = task.reference(row, second)
        for ball in (*value, *gradient):
            if ball.is_finite() and not ball.contains(0) and ball.rel_accuracy_bits() * np.log10(2) < DIGITS:
                raise ArithmeticError(f"the reference of {task.name} is proven to too few digits")
        values.append([float(v) for v in value])
        gradients.append([float(v) for v in gradient])
    return np.array(values), np.array(gradients)


def compare(got: np.ndarray, exact: np.ndarray, *, absolute: bool) -> Errors:
    got = got.reshape(exact.shape)
    info = np.finfo(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.abs(exact.astype(np.float32).astype(np.float64))
        unit = 2.0 ** (np.floor(np.log2(np.clip(rounded, float(info.tiny), float(info.max)))) - info.nmant)
        unit = np.full_like(unit, 2.0**-23) if absolute else unit
        counted = np.isfinite(exact) & np.isfinite(got) & ((np.abs(exact) >= SMALLEST) | (exact == 0))
        error = np.where(counted, np.abs(got - exact) / unit, 0.0)
        lost = counted & (np.abs(exact) >= SMALLEST) & (np.abs(got - exact) > 0.9 * np.abs(exact))
    wrong = ~np.isfinite(got) & np.isfinite(exact)
    return Errors(float(error.max()), int(wrong.sum()), bool(lost.any()) and not absolute)


def measure(task: Task) -> dict[str, dict[str, dict[str, Errors]]]:
    """Group -> framework -> 'value' and 'gradient' -> errors."""
    exact = {group.name: exactly(task, group) for group in task.groups}
    report: dict[str, dict[str, dict[str, Errors]]] = {group.name: {} for group in task.groups}
    for framework in FRAMEWORKS:
        for group, got, slope in results(task, framework):
            value, gradient = exact[group.name]
            if task.absolute:  # the gradient times the length, as the reference has it
                with np.errstate(invalid="ignore"):
                    slope = slope * np.linalg.norm(group.first.astype(np.float64), axis=-1, keepdims=True)
            report[group.name][framework] = {
                "value": compare(got, value, absolute=task.absolute),
                "gradient": compare(slope, gradient, absolute=task.absolute),
            }
    print(f"{task.name}: {len(task.groups)} groups", file=sys.stderr, flush=True)
    return report


def results(task: Task, framework: str) -> Iterator[tuple[Group, np.ndarray, np.ndarray]]:
    """Value and gradient of every group; those of equally long rows run together, for each shape is compiled anew."""
    width = lambda group: group.first.shape[1]  # noqa: E731
    for _, same in itertools.groupby(sorted(task.groups, key=width), width):
        members = list(same)
        second = np.concatenate([g.second for g in members])
        if framework == "PyTorch" and task.name == "softmax_cross_entropy":  # classes, for its probabilities' path
            second = np.argmax(second, -1)
        values, gradients = run(task, framework, np.concatenate([g.first for g in members]), second)
        ends = np.cumsum([len(g.first) for g in members])[:-1]
        yield from zip(members, np.split(values, ends), np.split(gradients, ends), strict=True)


# ---------------------------------------------------------------------------------------------------------------- page


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One thing that is asked of one function in one group."""

    name: str
    what: str
    got: float
    allowed: float

    @property
    def met(self) -> bool:
        return self.got <= self.allowed


def judge(task: Task, report: dict[str, dict[str, dict[str, Errors]]]) -> list[Verdict]:
    """Against the figure of the group, else the best peer and half a unit; NaN and lost results must not happen."""
    verdicts = []
    for group in task.groups:
        for index, quantity in enumerate(("value", "gradient")):
            ours = report[group.name]["jaxdict"][quantity]
            peers = [errors[quantity] for name, errors in report[group.name].items() if name != "jaxdict"]
            best = min((p.ulp for p in peers if not p.nan), default=np.inf) + 0.5
            allowed = best if group.allowed is None else max(group.allowed[index] * 1.05, best if best < np.inf else 0)
            verdicts.append(Verdict(f"{task.name}, {group.name}", f"{quantity}, ULP", ours.ulp, allowed))
            lost = ours.lost and not all(p.lost for p in peers)
            verdicts.append(Verdict(f"{task.name}, {group.name}", f"{quantity}: NaN, lost", ours.nan + lost, 0))
    return verdicts


def page(date: str, chosen: Sequence[Task], reports: dict[str, Any], verdicts: Sequence[Verdict]) -> str:
    parts = [
        "# Accuracy of softmax, its losses, relative entropy and cosine similarity",
        "\n".join(_timing.machine(PACKAGES, date)),
        "`benchmarks/accuracy_vectors.py`: the largest error of value and gradient in float32, in units in the last\n"
        "place of the correctly rounded result (0.5: correctly rounded), for the cosine in those of 1, its gradient\n"
        "times the vector's length. LOST: nothing of some result is left, mostly it is 0. NaN×n: n results are not\n"
        f"finite and should be. References are proven to {DIGITS} digits or more.",
    ]
    head = ["", *(f"{framework}: {what}" for framework in FRAMEWORKS for what in ("value", "gradient"))]
    for task in chosen:
        rows = [
            [g.name, *(reports[task.name][g.name][f][q].text() for f in FRAMEWORKS for q in ("value", "gradient"))]
            for g in task.groups
        ]
        parts += [f"## {task.name}", _timing.table(head, rows)]
    missed = [v for v in verdicts if not v.met]
    parts.append(f"## What is asked\n\n{len(verdicts) - len(missed)} of {len(verdicts)} met.")
    if missed:
        rows = [[v.name, v.what, f"{v.got:.3g}", f"{v.allowed:.3g}"] for v in missed]
        parts.append(_timing.table(["", "", "got", "allowed"], rows))
    return "\n\n".join(parts)


def main() -> None:
    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--only", default="", help="names, separated by semicolons")

    options_given = _timing.arguments(__doc__, options)
    every = tasks(quick=options_given.quick)
    wanted = [n.strip() for n in options_given.only.split(";") if n.strip()]
    chosen = [t for t in every if not wanted or t.name in wanted]
    reports = {t.name: measure(t) for t in chosen}
    verdicts = [v for t in chosen for v in judge(t, reports[t.name])]
    raw = json.loads(json.dumps(reports, default=dataclasses.asdict))
    whole = not options_given.quick and len(chosen) == len(every)
    _timing.publish("accuracy_vectors", page(options_given.date, chosen, reports, verdicts), raw, write=whole)
    sys.exit(any(not v.met for v in verdicts))


if __name__ == "__main__":
    main()
