"""Schedules and reduce on plateau by name from a config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxdict as jd
from jaxdict import config
from jaxdict.config import ConfigError

STEPS = 3 * 8  # epochs of 60 training examples in batches of 8


@pytest.fixture
def build(tmp_path):
    """From the lines of a config on to the experiment; it must load back equal from what it resolves to."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(60, 3)).astype(np.float32), y=np.arange(60) % 2)

    def make(text, validation=0.0):
        head = f'data = {{source = "{tmp_path / "data.npz"}", test_fraction = 0, validation_fraction = {validation}}}\n'
        path = tmp_path / "config.toml"
        path.write_text(head + "training.epochs = 3\ntraining.batch_size = 8\nmodel.hidden = [4]\n" + text)
        made = config.build(config.load(path))
        path.write_text(made.config.to_toml())
        again = config.build(config.load(path))
        assert again.config == made.config
        assert again.optimizer is made.optimizer
        assert again.observers == made.observers
        return made

    return make


def rates(descent):
    """What gradient descent takes a gradient of 1 times, step by step."""
    ones = {"w": jnp.ones(())}

    def step(state, _):
        updates, state = descent.update(ones, state)
        return state, -updates["w"]

    return jax.lax.scan(step, descent.init(ones), length=30)[1]


@pytest.mark.parametrize(
    ("lines", "schedule"),
    [
        ('{name = "step decay", init_value = 0.1, step_size = 7, decay_rate = 0.5}',
         jd.schedules.step_decay(0.1, 7, 0.5)),
        ('{name = "multistep", boundaries = [3, 9], values = [0.3, 0.2, 0.1]}',
         jd.schedules.piecewise([3, 9], [0.3, 0.2, 0.1])),
        ('{name = "linear", init_value = 0.1}', jd.schedules.polynomial(0.1, STEPS)),
        ('{name = "sgdr", init_value = 0.1, cycle_steps = 5}', jd.schedules.cosine_restarts(0.1, 5)),
        ('{name = "cyclic cosine", init_value = 0.1, cycles = 4}',
         jd.schedules.cyclic_cosine(0.1, STEPS, cycles=4)),
        ('{name = "cyclic", min_value = 0.01, max_value = 0.1, step_size = 4}', jd.schedules.triangular(0.01, 0.1, 4)),
        ('{name = "1cycle", peak_value = 0.1, shape = "linear"}',
         jd.schedules.one_cycle(0.1, STEPS, shape="linear")),
        ('{name = "warmup", schedule = 0.1, warmup_steps = 4}', jd.schedules.warmup(0.1, 4)),
        ('{name = "warm-up", warmup_steps = 4, schedule = {name = "cosine", init_value = 0.1}}',
         jd.schedules.warmup(jd.schedules.cosine_annealing(0.1, STEPS - 4), 4)),
    ],
)  # fmt: skip
def test_every_schedule_can_be_named(build, lines, schedule):
    made = build(f'optimizer = {{name = "gradient_descent", schedule = {lines}}}')
    np.testing.assert_allclose(rates(made.optimizer), schedule(np.arange(30)), rtol=1e-6)


@pytest.mark.parametrize(
    ("lines", "schedule"),
    [
        ('{name = "one_cycle"}', jd.schedules.one_cycle(0.2, STEPS)),
        ('{name = "triangular", min_value = 0.01, step_size = 4}', jd.schedules.triangular(0.01, 0.2, 4)),
        ('{name = "warmup", warmup_steps = 4, init_value = 0.01}', jd.schedules.warmup(0.2, 4, init_value=0.01)),
        ('{name = "warmup", warmup_steps = 4, init_value = 0.01, schedule = {name = "cosine"}}',
         jd.schedules.warmup(jd.schedules.cosine_annealing(0.2, STEPS - 4), 4, init_value=0.01)),
    ],
)  # fmt: skip
def test_the_learning_rate_is_the_highest_value(build, lines, schedule):
    made = build(f'optimizer = {{name = "gradient_descent", learning_rate = 0.2, schedule = {lines}}}')
    np.testing.assert_allclose(rates(made.optimizer), schedule(np.arange(30)), rtol=1e-6)


def test_plateau_is_named_as_early_stopping_is(build):
    made = build(
        "training.early_stopping = {patience = 9}\n"
        'training.plateau = {factor = 0.5, patience = 2, monitor = "validation_loss", reduce_when = "exceeded"}',
        validation=0.2,
    )
    assert made.observers == (
        jd.observers.early_stopping(
            patience=9, monitor="validation_loss", mode="min", min_delta=0.0, restore_best=True
        ),
        jd.observers.plateau(
            monitor="validation_loss", factor=0.5, patience=2, mode="min", rtol=1e-4, atol=0.0,
            relative_to="magnitude", reduce_when="exceeded", cooldown=0, cooldown_counts_last=False, min_scale=0.0,
            min_reduction=0.0,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("training.plateau = {factor = 1.0}", "training.plateau.factor must be < 1; got 1.0"),
        ("training.plateau = {patients = 1}", "did you mean 'training.plateau.patience'?"),
        ('training.plateau = {mode = "mean"}', "training.plateau.mode must be 'min' or 'max'; got 'mean'"),
        ('training.plateau = {monitor = "validation_loss"}', "training.plateau.monitor is 'validation_loss', but data"),
        ('optimizer.schedule = {name = "sgdr", init_value = 0.1}', "optimizer.schedule.cycle_steps is missing; cosine"),
        ('optimizer.schedule = {name = "warmup", warmup_steps = 2, schedule = {name = "cosin"}}',
         "optimizer.schedule.schedule.name: no schedule is called 'cosin'; did you mean"),
        ('optimizer.schedule = {name = "warmup", warmup_steps = 2, schedule = {init_value = 2.0}}',
         "optimizer.schedule.schedule.name must be a string; got None"),
        ('optimizer.schedule = {name = "warmup", warmup_steps = 2, schedule = {name = "cosine", final = 2.0}}',
         "optimizer.schedule.schedule.final is no option of cosine_annealing; did you mean"),
        ('optimizer.schedule = {name = "warmup", warmup_steps = 99, schedule = {name = "cosine", init_value = 0.1}}',
         "optimizer.schedule.schedule.decay_steps must be > 0; got -75"),
    ],
)  # fmt: skip
def test_mistakes(build, lines, message):
    with pytest.raises(ConfigError) as caught:
        build(lines)
    assert message in str(caught.value)
