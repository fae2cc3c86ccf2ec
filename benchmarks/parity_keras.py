"""Parity: the optimizers and schedules of jaxdict.compat.keras beside Keras itself, live.

    python benchmarks/parity_keras.py --date 2025-01-31
    python benchmarks/parity_keras.py --record      # only write what the suite reads, in tests/recorded

Both sides get the same random gradients for 1,000 steps and are compared after every one. A structure is what Keras
decides in Python (flags, momentum, thresholds of clipping, the kind of schedule); the other numbers are data, one lane
for each random configuration, set on Keras's optimizer as traced values. That this is Keras's own arithmetic is checked
by running one lane of some structures eagerly. Float32 runs in a process of its own, without x64.

Keras's schedules: on the JAX backend ``ops.cos``, ``floor`` and ``ceil`` give float32 whatever ``floatx`` is. In
float64 they are compared, and used in the optimizers, with these three widened and all else as it is.
"""

import argparse
import functools
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_ENABLE_X64"] = str("--narrow" not in sys.argv)

import jax
import jax.numpy as jnp
import keras
import keras.src.optimizers.schedules.learning_rate_schedule as keras_schedules
import numpy as np
import optax

import _timing
import jaxdict as jd
from jaxdict.compat import keras as compat

NARROW = "--narrow" in sys.argv  # the float32 process
FLOAT = "float32" if NARROW else "float64"
keras.config.set_floatx(FLOAT)

PACKAGES = ("jax", "jaxlib", "keras", "optax", "numpy")
NAMES = ("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb")
STEPS, LANES, SEED = 1000, 29, 20
EAGER = (0, 3, 6)  # structures of which a lane also runs eagerly
SHAPES = ((4, 3), (3,), (3, 2), (2,))
BOUND, DRIFT = 1e-12, 2.0  # relative difference in float64; ULP per 100 steps in float32, on average
RECORDED = Path(__file__).resolve().parents[1] / "tests" / "recorded" / "keras_optimizers.npz"

# What a structure may have beside its optimizer's own flags; clip thresholds lie amid the gradients' sizes.
COMMON = (
    {},
    {"schedule": "PiecewiseConstantDecay", "clipvalue": 0.4, "weight_decay": True},
    {"clipnorm": 1.3, "weight_decay": True},
    {"schedule": "CosineDecayRestarts", "weight_decay": True},
    {"schedule": "PolynomialDecay", "global_clipnorm": 1.7},
    {"schedule": "ExponentialDecay", "loss_scale_factor": 3.0},
    {"schedule": "CosineDecay", "global_clipnorm": 0.8, "weight_decay": True},
)
FLAGS = {
    "SGD": ({"momentum": 0.9}, {}, {"momentum": 0.53, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
    "RMSprop": ({"centered": True}, {}, {"momentum": 0.9}, {"centered": True, "momentum": 0.71}),
    "Adam": ({}, {"amsgrad": True}, {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 37}),
    "AdamW": ({"amsgrad": True}, {}, {"use_ema": True}),
}  # fmt: skip
SCHEDULES = {
    "ExponentialDecay": {"decay_steps": 170, "decay_rate": 0.43},
    "CosineDecayRestarts": {"first_decay_steps": 90, "t_mul": 1.7, "m_mul": 0.8, "alpha": 0.05},
    "PiecewiseConstantDecay": {"boundaries": [150, 420, 800]},
    "PolynomialDecay": {"decay_steps": 230, "end_learning_rate": 2e-4, "power": 1.6, "cycle": True},
    "CosineDecay": {"decay_steps": 700, "alpha": 0.1, "warmup_steps": 120},
    "InverseTimeDecay": {"decay_steps": 60, "decay_rate": 0.7},
}
FACTORS = (1.0, 0.3, 0.05, 0.2)  # of the piecewise schedule


class Structure(NamedTuple):
    """An optimizer with what is decided in Python; ``traced`` are the arguments that are data."""

    name: str
    fixed: dict[str, Any]
    schedule: str | None
    traced: tuple[str, ...]

    def label(self) -> str:
        shown = [f"{k}={v}" for k, v in self.fixed.items()] + ([self.schedule] if self.schedule else [])
        return f"{self.name}({', '.join([*shown, *(t for t in self.traced if t == 'weight_decay')])})"


class _WideOps:
    """Keras's ops with the three that narrow float64 giving back the type that they got."""

    def __init__(self, ops: Any):
        self.ops = ops
        self.cos = jnp.cos

    def floor(self, x: Any) -> Any:
        return self.ops.floor(x).astype(x.dtype)

    def ceil(self, x: Any) -> Any:
        return self.ops.ceil(x).astype(x.dtype)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ops, name)


if not NARROW:
    keras_schedules.ops = _WideOps(keras_schedules.ops)


def structures(name: str) -> Iterator[Structure]:
    """All of `COMMON` for every optimizer; its flags take turns."""
    flags = FLAGS.get(name, ({},))
    for index, common in enumerate(COMMON):
        fixed = {**common, **flags[index % len(flags)]}
        schedule, decays = fixed.pop("schedule", None), fixed.pop("weight_decay", False) or name == "AdamW"
        traced = {
            "Adagrad": ("initial_accumulator_value", "epsilon"), "RMSprop": ("rho", "epsilon"), "SGD": (),
            "Adadelta": ("rho", "epsilon"), "Ftrl": ("initial_accumulator_value", "beta"), "Lion": ("beta_1", "beta_2"),
        }.get(name, ("beta_1", "beta_2", "epsilon"))  # fmt: skip
        if name == "Ftrl":
            fixed |= ({"l1_regularization_strength": 0.3}, {"l2_shrinkage_regularization_strength": 0.02})[index % 2]
            fixed |= {"learning_rate_power": (-0.5, -0.7)[index % 2]}
        yield Structure(name, fixed, schedule, (*traced, *["weight_decay"] * decays))


def draw(structure: Structure, rng: np.random.Generator) -> dict[str, float]:
    """One random configuration."""
    # Adadelta's steps are small, Lamb's are proportional to the parameters.
    rate = rng.uniform(*{"Adadelta": (-2, 1), "Lamb": (-4, -2.3)}.get(structure.name, (-4, -1)))
    ranges = {
        "beta_1": rng.uniform(0.5, 0.99),
        "beta_2": 1 - 10 ** rng.uniform(-4, -1),
        "rho": rng.uniform(0.5, 0.99),
        "epsilon": 10 ** rng.uniform(-9, -2),
        "initial_accumulator_value": rng.uniform(0.01, 1),
        "beta": rng.uniform(0, 1),
        "weight_decay": 10 ** rng.uniform(-4, -1),
    }
    return {"learning_rate": 10**rate} | {name: ranges[name] for name in structure.traced}


def gradients(rng: np.random.Generator, steps: int, shapes: Any = SHAPES) -> list[np.ndarray]:
    """Noise around a drift, of a size of its own, a tenth of it exactly 0: ``(steps, *shape)`` for every shape."""
    size = 10 ** rng.uniform(-2, 1)
    made = []
    for shape in shapes:
        noise = rng.normal(size=(steps, *shape)) + rng.normal(size=shape)
        made.append(size * noise * (rng.uniform(size=noise.shape) > 0.1))
    return made


def schedule_of(module: Any, structure: Structure, rate: Any) -> Any:
    """The structure's schedule from either side, of a rate that may be traced."""
    options = dict(SCHEDULES[structure.schedule or ""])
    if structure.schedule == "PiecewiseConstantDecay":
        return module.PiecewiseConstantDecay(options["boundaries"], [f * rate for f in FACTORS])
    if structure.schedule == "CosineDecay":
        options["warmup_target"] = rate
        rate = 0.1 * rate
    return getattr(module, structure.schedule or "")(rate, **options)


class Theirs:
    """A Keras optimizer whose numbers can be traced values."""

    def __init__(self, structure: Structure, variables: list | None = None):
        self.structure = structure
        rate = schedule_of(keras.optimizers.schedules, structure, 0.1) if structure.schedule else 0.1
        placeholders = dict.fromkeys(structure.traced, 0.5)
        self.optimizer = getattr(keras.optimizers, structure.name)(rate, **placeholders, **structure.fixed)
        self.variables = variables or [keras.Variable(np.zeros(shape), dtype=FLOAT) for shape in SHAPES]
        self.optimizer.build(self.variables)

    def set(self, values: dict[str, Any]) -> list:
        """Give the optimizer these numbers; the variables that it starts from."""
        for name in self.structure.traced:
            setattr(self.optimizer, name, values[name])
        start = [v.value for v in self.optimizer.variables]
        if self.structure.schedule:
            self.optimizer._learning_rate = schedule_of(
                keras.optimizers.schedules, self.structure, jnp.asarray(values["learning_rate"], FLOAT)
            )
        else:
            start[1] = jnp.asarray(values["learning_rate"], FLOAT)
        for index, variable in enumerate(self.optimizer.variables):
            if "initial_accumulator_value" in values and variable.path.endswith("_accumulator"):
                start[index] = jnp.full_like(start[index], values["initial_accumulator_value"])
        return start

    def run(self, values: dict[str, Any], params: list, given: list) -> tuple[list, list, list]:
        """``(every step's parameters, the last, the optimizer's variables)``."""
        return self.go_on(self.set(values), params, given)

    def go_on(self, start: list, params: list, given: list) -> tuple[list, list, list]:
        def step(carry, gradient):
            params, memory = self.optimizer.stateless_apply(carry[1], gradient, carry[0])
            return (params, memory), params

        (params, memory), seen = jax.lax.scan(step, (params, start), given)
        return seen, params, memory

    def eager(self, values: dict[str, float], params: list, given: list) -> list[np.ndarray]:
        """The last parameters of plain ``optimizer.apply`` calls."""
        for variable, value in zip(self.optimizer.variables, self.set(values), strict=True):
            variable.assign(value)
        for variable, value in zip(self.variables, params, strict=True):
            variable.assign(value)
        for t in range(len(given[0])):
            self.optimizer.apply([jnp.asarray(g[t], FLOAT) for g in given])
        return [np.asarray(v.value) for v in self.variables]


def ours(structure: Structure, values: dict[str, Any]) -> optax.GradientTransformationExtraArgs:
    """jaxdict's optimizer of the same arguments."""
    rate = values["learning_rate"]
    if structure.schedule:
        rate = schedule_of(compat.optimizers.schedules, structure, rate)
    traced = {name: values[name] for name in structure.traced}
    return getattr(compat.optimizers, structure.name)(rate, **traced, **structure.fixed)


def our_run(optimizer: Any, state: Any, params: Any, given: Any) -> tuple[Any, Any, Any]:
    """``(every step's parameters, the last, the state)``."""

    def step(carry, gradient):
        params, state = carry
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    (params, state), seen = jax.lax.scan(step, (params, state), given)
    return seen, params, state


def relative(a: list, b: list, *, so_far: bool = False) -> float:
    """The largest difference, relative to the largest number of its tensor at that step, or at any step until then."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        x, y = (np.asarray(z).reshape(*z.shape[:2], -1) for z in (x, y))  # lanes, steps, numbers
        size = np.abs(y).max(axis=2)
        if so_far:
            size = np.maximum.accumulate(size, axis=1)
        worst = max(worst, float(np.max(np.abs(x - y).max(axis=2) / np.where(size == 0, 1, size))))
    return worst


def ulps(a: list, b: list) -> float:
    """The mean distance of the last parameters in ULP; numbers below 1 % of their tensor's largest count as that."""
    distances = []
    for x, y in zip(a, b, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        axes = tuple(range(1, y.ndim))
        size = np.maximum(np.abs(y), 0.01 * np.abs(y).max(axis=axes, keepdims=True))
        distances.append((np.abs(x.astype(np.float64) - y) / np.spacing(size)).ravel())
    return float(np.mean(np.concatenate(distances)))


def lanes(structure: Structure, index: int, count: int) -> tuple[dict, list, list]:
    """``count`` configurations with their parameters and gradients, the lanes in front."""
    made = []
    for lane in range(count):
        rng = np.random.default_rng([SEED, NAMES.index(structure.name), index, lane])
        made.append((draw(structure, rng), [rng.normal(size=s) for s in SHAPES], gradients(rng, STEPS)))
    return jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves), FLOAT), *made)


def compare(structure: Structure, index: int, count: int) -> dict[str, Any]:
    """One structure: all lanes at every step, and of some one lane against eager Keras."""
    values, params, given = lanes(structure, index, count)
    theirs = Theirs(structure)
    seen, last, _ = jax.jit(jax.vmap(theirs.run))(values, params, given)

    def lane(values, params, given):
        optimizer = ours(structure, values)
        return our_run(optimizer, optimizer.init(params), params, given)

    own, own_last, _ = jax.jit(jax.vmap(lane))(values, params, given)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((seen, own))):
        raise RuntimeError(f"{structure.label()}: not finite")
    row = {
        "structure": structure.label(),
        "configurations": count,
        # Ftrl computes parameters anew, far smaller than the last ones, and an update is their difference.
        "relative": relative(own, seen, so_far=structure.name == "Ftrl"),
        "ulp_per_100": ulps(own_last, last) / (STEPS / 100),
    }
    if index in EAGER and not NARROW:
        first = jax.tree.map(lambda x: np.asarray(x)[0], (values, params, [g[:, :8] for g in given]))
        eager = Theirs(structure).eager({k: float(v) for k, v in first[0].items()}, *first[1:])
        differences = [np.abs(e - np.asarray(s)[0, 7]) / np.abs(e).max() for e, s in zip(eager, seen, strict=True)]
        row["traced_against_eager"] = float(max(d.max() for d in differences))
    return row


def network() -> tuple[Any, Any, Any]:
    """A Keras model with every kind of leaf that maps, and the same architecture's trees here."""
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((3,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(3), layers.Dense(2)]
    )
    own = jd.models.serial(jd.layers.dense(4), jd.layers.batch_norm(), jd.layers.dense(3), jd.layers.dense(2))
    params, state, _ = own.init(jax.random.key(0), (3,))
    return model, *jax.tree.map(lambda x: x.astype(FLOAT), (params, state))


def switch(structure: Structure, index: int) -> float:
    """A third in Keras, a third here, a third in Keras, against all three in Keras: the largest relative difference."""
    rng = np.random.default_rng([SEED, 99, NAMES.index(structure.name), index])
    model, params, state = network()
    values, given = draw(structure, rng), gradients(rng, STEPS, [v.shape for v in model.trainable_variables])
    third = STEPS // 3
    parts = [[jnp.asarray(g[i * third : (i + 1) * third]) for g in given] for i in range(3)]
    theirs = Theirs(structure, model.trainable_variables)
    scan = jax.jit(theirs.go_on)
    start = theirs.set(values)
    begun = [v.value for v in model.trainable_variables]

    alone, memory = begun, start
    for part in parts:
        _, alone, memory = scan(memory, alone, part)

    def assign(variables, arrays):
        for variable, value in zip(variables, arrays, strict=True):
            variable.assign(value)

    _, there, memory = scan(start, begun, parts[0])
    assign(model.trainable_variables, there)
    assign(theirs.optimizer.variables, memory)
    params, state = compat.import_params(model.weights, params, state)
    optimizer = ours(structure, values)
    opt_state = compat.import_optimizer_state(theirs.optimizer.variables, params, optimizer=optimizer)
    middle, _ = compat.import_params(
        [(v.path, g) for v, g in zip(model.trainable_variables, parts[1], strict=True)], _steps(params, third)
    )
    _, params, opt_state = jax.jit(functools.partial(our_run, optimizer))(opt_state, params, middle)
    assign(model.weights, compat.export_params(params, model.weights, state))
    assign(theirs.optimizer.variables, compat.export_optimizer_state(opt_state, theirs.optimizer.variables))
    _, back, _ = scan(
        [v.value for v in theirs.optimizer.variables], [v.value for v in model.trainable_variables], parts[2]
    )
    return max(float(np.max(np.abs(b - a)) / np.max(np.abs(a))) for a, b in zip(alone, back, strict=True))


def _steps(params: Any, count: int) -> Any:
    """Trees of gradients have the steps in front."""
    return jax.tree.map(lambda p: jnp.zeros((count, *p.shape), p.dtype), params)


def random_schedule(kind: str, rng: np.random.Generator) -> tuple[tuple, dict]:
    """Arguments for either side."""
    rate, steps = 10 ** rng.uniform(-4, 0), int(rng.integers(2, 400))
    if kind in ("ExponentialDecay", "InverseTimeDecay"):
        return (rate, steps, rng.uniform(0.1, 1.2)), {"staircase": bool(rng.integers(2))}
    if kind == "PiecewiseConstantDecay":
        count = int(rng.integers(1, 6))
        bounds = sorted(int(b) for b in rng.choice(np.arange(1, 990), count, replace=False))
        return (bounds, [float(v) for v in 10 ** rng.uniform(-4, 0, count + 1)]), {}
    if kind == "PolynomialDecay":
        options = {"end_learning_rate": rate * rng.uniform(0, 0.5), "power": rng.uniform(0.5, 3)}
        return (rate, steps), options | {"cycle": bool(rng.integers(2))}
    if kind == "CosineDecay":
        warm = {"warmup_target": rate * rng.uniform(1, 5), "warmup_steps": int(rng.integers(0, 200))}
        return (rate, steps), {"alpha": rng.uniform(0, 0.5)} | (warm if rng.integers(2) else {})
    growth = (1.0, 2.0, 1.5, rng.uniform(1.1, 3))[int(rng.integers(4))]
    return (rate, steps), {"t_mul": growth, "m_mul": rng.uniform(0.5, 1.1), "alpha": rng.uniform(0, 0.5)}


def keras_values(schedule: Any, steps: jax.Array) -> np.ndarray:
    """A Keras schedule's values, each as if asked alone: XLA divides by constants, and arrays by numbers, through the
    reciprocal, so that 49/49 falls below 1, and a ramp's end may have no power: the length is data here."""
    name = "first_decay_steps" if hasattr(schedule, "first_decay_steps") else "decay_steps"

    def values(steps, length):
        if hasattr(schedule, name):
            setattr(schedule, name, length)
        return jax.lax.map(schedule, steps)

    return np.asarray(jax.jit(values)(steps, jnp.asarray(getattr(schedule, name, 1), FLOAT)))


def compare_schedules(count: int) -> dict[str, float]:
    """The largest difference relative to the schedule's largest value, over 1,000 steps of ``count`` schedules each."""
    worst = {}
    steps = jnp.arange(STEPS, dtype=jnp.int32)
    for number, kind in enumerate(SCHEDULES):
        differences = []
        for index in range(count):
            args, options = random_schedule(kind, np.random.default_rng([SEED, 7, number, index]))
            theirs = keras_values(getattr(keras.optimizers.schedules, kind)(*args, **options), steps)
            own = np.asarray(getattr(compat.optimizers.schedules, kind)(*args, **options)(steps))
            differences.append(np.max(np.abs(own - theirs)) / np.max(np.abs(theirs)))
        worst[kind] = float(np.max(differences))
    return worst


def measure(names: tuple[str, ...], count: int, each: int, switches: int, progress: Callable[[str], None]) -> dict:
    """What this process can say, in its type: ``each`` structures of an optimizer, ``count`` lanes of each."""
    data: dict[str, Any] = {"float": FLOAT, "optimizers": {}, "schedules": compare_schedules(max(2, count))}
    for name in names:
        chosen = list(structures(name))[:each]
        rows = [compare(structure, index, count) for index, structure in enumerate(chosen)]
        moved = [] if NARROW else [switch(s, i) for i, s in enumerate(chosen) if i in (0, 2, 4)[:switches]]
        data["optimizers"][name] = {"structures": rows, "switches": moved}
        progress(f"{FLOAT} {name}: {max(r['relative'] for r in rows):.1e}")
        jax.clear_caches()
    return data


def page(wide: dict, narrow: dict, date: str) -> tuple[str, bool]:
    """The page, and whether all bounds hold."""
    rows, good = [], True
    for name, found in wide["optimizers"].items():
        lines, thin = found["structures"], narrow["optimizers"][name]["structures"]
        worst, moved = max(r["relative"] for r in lines), max(found["switches"], default=0.0)
        drift = float(np.mean([r["ulp_per_100"] for r in thin]))
        eager = max(r.get("traced_against_eager", 0.0) for r in lines)
        if name != "Ftrl":
            good &= worst <= BOUND and moved <= BOUND and drift <= DRIFT and eager <= BOUND
        count = sum(r["configurations"] for r in lines)
        rows.append(
            [name, f"{count:,}", f"{worst:.1e}", f"{moved:.1e}", f"{drift:.2f}",
             f"{max(r['ulp_per_100'] for r in thin):.2f}", f"{eager:.1e}"]
        )  # fmt: skip
    head = ["optimizer", "configurations", "float64", "switched twice", "float32", "its largest", "traced–eager"]
    schedules = [[k, f"{v:.1e}", f"{narrow['schedules'][k]:.1e}"] for k, v in wide["schedules"].items()]
    good &= all(v <= BOUND for v in wide["schedules"].values())
    text = "\n".join(
        [
            "# Parity with Keras",
            "",
            f"Keras's own optimizers and `jaxdict.compat.keras.optimizers`, fed the same random gradients for {STEPS:,}"
            " steps. *float64*: the largest difference of a parameter at any step, relative to the largest number of"
            f" its tensor; at most {BOUND:.0e} is required. *Switched twice*: a run that goes from Keras to jaxdict and"
            " back, against one that stays, the same measure and bound. *float32*: the mean distance after the last"
            f" step in units in the last place, per 100 steps, at most {DRIFT:g} required on average; and that of the"
            " worst structure. *Traced–eager*: Keras with its numbers traced against plain eager Keras.",
            "",
            "Ftrl computes parameters anew from its sums, often far smaller than the last ones; as updates they are"
            " differences, whose rounding small rates amplify. Its first figure is relative to the largest number of"
            " its tensor so far, and under no bound.",
            "",
            "\n".join(_timing.machine(PACKAGES, date)),
            "",
            _timing.table(head, rows),
            "",
            "Schedules, the largest difference over 1,000 steps relative to the largest value. In float64 Keras's"
            " formula is run with its float32 cosine, floor and ceiling widened; in float32 it is as it is.",
            "",
            _timing.table(["schedule", "float64", "float32"], schedules),
            "",
            "All bounds hold." if good else "**A bound does not hold.**",
        ]
    )
    return text, good


RECORDED_STEPS = (1, 3, 9)


def record() -> None:
    """Trajectories of eager Keras, for the suite, which runs without it."""
    model, _, _ = network()
    rng = np.random.default_rng(SEED)
    shapes = [v.shape for v in model.trainable_variables]
    given = gradients(rng, RECORDED_STEPS[-1], shapes)
    begun = [rng.normal(size=s) for s in shapes]
    flat = lambda arrays: np.concatenate([np.asarray(a).ravel() for a in arrays])  # noqa: E731
    arrays = {
        "gradients": np.stack([flat(g[t] for g in given) for t in range(RECORDED_STEPS[-1])]),
        "start": flat(begun),
    }
    runs = []
    for name in NAMES:
        for index, structure in enumerate(structures(name)):
            if index > 3:
                continue
            values = {k: float(v) for k, v in draw(structure, np.random.default_rng([SEED, 5, len(runs)])).items()}
            theirs = Theirs(structure, model.trainable_variables)
            seen, done = [], 0
            for variable, value in zip(theirs.variables, begun, strict=True):
                variable.assign(value)
            for variable, value in zip(theirs.optimizer.variables, theirs.set(values), strict=True):
                variable.assign(value)
            for until in RECORDED_STEPS:
                for t in range(done, until):
                    theirs.optimizer.apply([jnp.asarray(g[t]) for g in given])
                done = until
                seen.append(flat(v.value for v in theirs.variables))
            label = f"run_{len(runs)}"
            arrays[label] = np.stack(seen)
            arrays[f"{label}_variables"] = flat(v.value for v in theirs.optimizer.variables)
            runs.append(
                {"optimizer": name, "fixed": structure.fixed, "schedule": structure.schedule, "values": values,
                 "variables": [[v.path, list(v.shape)] for v in theirs.optimizer.variables]}
            )  # fmt: skip
    schedules = []
    for number, kind in enumerate(SCHEDULES):
        for index in range(4):
            args, options = random_schedule(kind, np.random.default_rng([SEED, 6, number, index]))
            args = (args[0], max(3, args[1] // 20), *args[2:]) if isinstance(args[1], int) else args
            schedule = getattr(keras.optimizers.schedules, kind)(*args, **options)
            arrays[f"schedule_{len(schedules)}"] = keras_values(schedule, jnp.arange(60, dtype=jnp.int32))
            schedules.append({"schedule": kind, "args": args, "options": options})
    weights = [[v.path, np.asarray(v.value).tolist()] for v in model.weights]
    versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in PACKAGES)
    provenance = {
        "what": "eager Keras on the JAX backend in float64 (x64, floatx float64), written by benchmarks/parity_keras.py"
        " --record; schedules with float32 cos, floor and ceil of Keras widened",
        "versions": versions, "seed": SEED, "steps": RECORDED_STEPS, "shapes": [list(s) for s in shapes],
        "schedules_of_runs": SCHEDULES, "factors": FACTORS,
        "trainable": [v.path for v in model.trainable_variables], "weights": weights, "runs": runs,
        "schedules": schedules,
    }  # fmt: skip
    RECORDED.parent.mkdir(exist_ok=True)
    np.savez_compressed(RECORDED, provenance=np.array(json.dumps(provenance)), **arrays)
    print(f"{RECORDED}: {RECORDED.stat().st_size / 1e3:.0f} kB, {len(runs)} runs, {len(schedules)} schedules")


def main() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--record", action="store_true", help="only write the recorded runs of the suite")
        parser.add_argument("--narrow", action="store_true", help="only measure float32, and print it as JSON")
        parser.add_argument("--optimizers", default=",".join(NAMES), help="some of them, by comma")

    options = _timing.arguments(__doc__, add)
    if options.record:
        record()
        return
    names = tuple(options.optimizers.split(","))
    count, each, switches = (2, 2, 1) if options.quick else (LANES, len(COMMON), 3)
    each = min(each, 4) if NARROW else each
    if NARROW:
        print(json.dumps(measure(names, count, each, 0, lambda line: print(line, file=sys.stderr, flush=True))))
        return
    wide = measure(names, count, each, switches, lambda line: print(line, file=sys.stderr, flush=True))
    command = [sys.executable, __file__, "--narrow", "--optimizers", options.optimizers, *["--quick"] * options.quick]
    narrow = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    text, good = page(wide, narrow, options.date)
    complete = names == NAMES and not options.quick
    _timing.publish("parity_keras", text, {"float64": wide, "float32": narrow}, write=complete)
    if not good:
        raise SystemExit("a bound does not hold")


if __name__ == "__main__":
    main()
