"""The race: lanes against NumPy, destinations, the choice of rates, who races, functions of one's own."""

import re
import types
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxdict as jd
from jaxdict import race
from jaxdict.race import contestants, engine, surfaces
from jaxdict.race.engine import Lanes
from jaxdict.race.results import ARRIVED, CIRCLING, ELSEWHERE, UNDER_WAY, Race

FIELD = ["gradient_descent", "momentum", "nesterov", "nesterov_sutskever", "adam"]
RATES = np.array([8e-6, 8.4e-6, 1.1e-5, 1.3e-5, 3e-5, 2e-3, 0.02, 1.0])
STEPS = 10_000


@pytest.fixture(scope="module")
def run():
    return race.run(FIELD, rates=RATES)


def gradient(p):
    """Of Beale's function."""
    x, y = p
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y * y, 2.625 - x + x * y**3
    return np.array(
        [2 * (a * (y - 1) + b * (y * y - 1) + c * (y**3 - 1)), 2 * x * (a + 2 * b * y + 3 * c * y * y)]
    )  # fmt: skip


def walked(name, rate, start, steps):
    """All places of an optimizer in NumPy, (steps + 1, 2)."""
    theta, v, m = np.array(start, float), np.zeros(2), np.zeros(2)
    places = [theta]
    for t in range(1, steps + 1):
        if name == "gradient_descent":
            theta = theta - rate * gradient(theta)
        elif name == "adam":
            g = gradient(theta)
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            theta = theta - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        else:
            v = 0.9 * v - rate * gradient(theta if name == "momentum" else theta + 0.9 * v)
            theta = theta + v
        places.append(theta)
    return np.array(places)


class TestLanes:
    @pytest.mark.parametrize("name", FIELD)
    @pytest.mark.parametrize("start", [0, 1])
    def test_the_way_is_that_of_numpy(self, run, name, start):
        rate = 6 if name == "adam" else 3
        path = walked(name, RATES[rate], run.starts[start], 300)
        shown = run.path(name, start, rate=rate)
        assert np.abs(path[-1] - path[0]).max() > 0.5
        np.testing.assert_array_equal(run.kept_steps[:301], np.arange(301))
        np.testing.assert_allclose(shown[:301], path, rtol=0, atol=2e-6)

    def test_steps_and_distance_are_those_of_numpy(self, run):
        path = walked("gradient_descent", 2e-3, (2, -2), STEPS)
        apart = np.hypot(*(path - (3, 0.5)).T)
        settled = np.flatnonzero(apart > 0.01)[-1] + 1
        lanes = run.lanes[0]
        assert lanes.touched[5, 0] == np.flatnonzero(apart <= 0.01)[0]
        assert run.settled[0, 5, 0] == settled < STEPS
        assert run.distances[0, 5, 0] == pytest.approx(apart[-1], rel=1e-6)
        np.testing.assert_allclose(lanes.end[:, 5, 0], path[-1], rtol=0, atol=1e-9)

    def test_nesterovs_forms_are_one_method(self, run):
        a, b = run.path("nesterov", 1, rate=3), run.path("nesterov_sutskever", 1, rate=3)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)
        assert [run.optimizers[2], run.optimizers[3]] in race.pictures.together(run)

    def test_kept_steps_begin_at_0_and_end_at_the_last(self):
        for steps in (1, 299, 300, 301, 10_000):
            kept = engine.kept_steps(steps)
            assert (kept[0], kept[-1]) == (0, steps)
            assert (np.diff(kept) > 0).all()
            assert len(kept) < 560

    def test_other_rates_compile_nothing(self, run):
        chosen = contestants.contestants(FIELD)
        program = engine._program(chosen, surfaces.beale)
        before = program._cache_size()
        again = race.run(FIELD, rates=RATES * 1.01, tolerance=0.02)
        assert engine._program(chosen, surfaces.beale) is program
        assert program._cache_size() == before
        assert (again.distances != run.distances).any()

    def test_a_matrix_rule_sees_a_matrix(self):
        seen = []

        def make(rate):
            def init(params):
                seen.append(params.shape)
                return optax.EmptyState()

            return optax.GradientTransformation(init, lambda g, s, p=None: (-rate * g, s))

        race.run({"own": make}, rates=np.array([1e-3]), steps=2)
        assert set(seen) == {(2, 1)}


class TestDestinations:
    def place(self, run, name, rate, start):
        return run.places[run.destinations[FIELD.index(name), list(RATES).index(rate), start]]

    def test_gradient_descent_gets_there(self, run):
        """S4 says that 10,000 steps are too few."""
        assert self.place(run, "gradient_descent", 2e-3, 0) == "at the minimum"
        assert self.place(run, "gradient_descent", 3e-5, 0) == "on the way to it"

    def test_momentum_and_nesterov_part_over_the_valley(self, run):
        """S4 says that both find the same local minimum from (−3, 3); between 8.2e-6 and 1.2e-5 they do not."""
        valley, way = "valley x → −∞", "on the way to it"
        assert [self.place(run, "momentum", r, 1) for r in RATES[:5]] == [valley, way, way, way, way]
        for name in ("nesterov", "nesterov_sutskever"):
            assert [self.place(run, name, r, 1) for r in RATES[:5]] == [valley, valley, valley, way, way]

    def test_what_diverges_harms_nobody(self, run):
        assert self.place(run, "gradient_descent", 1.0, 1) == "diverged"
        assert np.isnan(run.distances[0, 7, 1])
        assert self.place(run, "adam", 1.0, 0) == "at the minimum"

    def test_lingering_and_leaving(self):
        """Within the tolerance in the last steps alone is no arrival."""
        rates = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
        made = hand_made(rates, settled=[[9_899, 9_901, 10_001, 10_001, 10_001]], touched=[[5, 5, 5, -1, -1]],
                         foot=[[[3, 3, 3, 3, 0.0]], [[0.5, 0.5, 0.5, 0.5, 1.0]]])  # fmt: skip
        assert made.destinations[0, :, 0].tolist() == [ARRIVED, CIRCLING, CIRCLING, UNDER_WAY, ELSEWHERE]
        assert made.settled[0, :, 0].tolist() == [9_899, -1, -1, -1, -1]


def hand_made(rates, *, settled, touched=None, distance=None, foot=None, value=None):
    """A race of one start with what happened written by hand, rows by optimizer; ends lie left of the minimum."""
    settled = np.array(settled)[..., None]
    touched = settled if touched is None else np.array(touched)[..., None]
    distance = np.full(settled.shape, 0.5) if distance is None else np.array(distance)[..., None]
    foot = np.broadcast_to(np.array([3.0, 0.5]).reshape(2, 1, 1), (2, *settled.shape[:2])) if foot is None else foot
    foot, value = np.array(foot)[..., None], np.zeros(settled.shape) if value is None else np.array(value)[..., None]
    end = np.stack([3 - distance, np.full(settled.shape, 0.5)])
    lanes = tuple(
        Lanes(np.zeros((541, 2, len(rates), 1)), end[:, o], touched[o], settled[o], foot[:, o], value[o])
        for o in range(len(settled))
    )
    labels = tuple(f"o{i}" for i in range(len(settled)))
    return Race(
        race.SURFACES["beale"], labels, rates, np.array([[2.0, -2.0]]), np.array([[3.0, 0.5]]), STEPS, 0.01, lanes
    )  # fmt: skip


class TestChoice:
    RATES = np.geomspace(1e-3, 1, 7)

    def test_luck_is_not_chosen(self):
        made = hand_made(self.RATES, settled=[[10_001, 50, 10_001, 300, 200, 400, 10_001]])
        assert made.chosen.tolist() == [[4]]

    def test_a_single_arrival_is_better_than_none(self):
        made = hand_made(self.RATES, settled=[[10_001, 10_001, 77, 10_001, 10_001, 10_001, 10_001]])
        assert made.chosen.tolist() == [[2]]

    def test_without_an_arrival_the_closest_of_a_run(self):
        never = [[10_001] * 7]
        x = [3, 3, 3, 3, -500, 3, -500]
        foot = [[x], [[0.5] * 7]]
        distance = [[0.4, 0.3, 0.2, 0.25, 9.0, 0.1, 9.0]]
        made = hand_made(self.RATES, settled=never, touched=[[-1] * 7], foot=foot, distance=distance)
        assert made.chosen.tolist() == [[2]]

    def test_nowhere_near_the_closest_of_the_longest_stretch(self):
        foot = [[[3, -500, -500, -500, 3, 3, -500]], [[0.5] * 7]]
        distance = [[1, 5, 4, 6, 1, 1, 2]]
        never = [[10_001] * 7]
        made = hand_made(self.RATES, settled=never, touched=[[-1] * 7], foot=foot, distance=distance)
        assert made.chosen.tolist() == [[2]]

    def test_all_diverged(self):
        nan = [[np.nan] * 7]
        made = hand_made(self.RATES, settled=[[10_001] * 7], touched=[[-1] * 7], distance=nan, value=nan)
        (row,) = made.table()
        assert (row.destination, row.steps, row.arriving, row.lowest) == ("diverged", None, 0, None)

    def test_the_table_has_the_fastest_first(self):
        made = hand_made(
            self.RATES, settled=[[10_001] * 7, [10_001, 900, 800, 700, 9_800, 10_001, 60], [10_001, 5, 6, 7, 8, 9, 10]],
            touched=[[-1] * 7, [1] * 7, [1] * 7], distance=[[0.5, 0.4, 0.3, 0.2, 0.3, 0.4, 0.5]] + [[0.001] * 7] * 2,
        )  # fmt: skip
        rows = made.table()
        assert [(r.optimizer, r.steps) for r in rows] == [("o2", 5), ("o1", 700), ("o0", None)]
        assert (rows[1].rate, rows[1].arriving) == (self.RATES[3], 5)
        assert (rows[1].lowest, rows[1].highest) == (self.RATES[1], self.RATES[6])
        assert rows[2].distance == pytest.approx(0.2)
        assert (rows[2].destination, rows[0].destination) == ("on the way to it", "at the minimum")
        assert rows[0].start == (2.0, -2.0)


class TestField:
    def test_who_races(self):
        labels = [one.label for one in race.field()]
        assert {"adam", "gradient_descent", "momentum", "sgd", "sgd+momentum", "adamw", "lion", "muon"} <= set(labels)
        assert len(labels) == len(set(labels))
        for name in ("clip_by_global_norm", "weight_decay", "lbfgs", "newton", "gauss_newton", "levenberg_marquardt"):
            assert name not in labels

    def test_every_optimizer_that_a_rate_makes_joins_by_itself(self, monkeypatch):
        def plain(learning_rate, *, decay=0.1):
            return optax.sgd(learning_rate)

        def heavy(learning_rate, *, momentum=None):
            return optax.sgd(learning_rate, momentum)

        def bounded(learning_rate, bound):
            return optax.sgd(learning_rate)

        def searching(learning_rate=0.1):
            return optax.lbfgs(learning_rate)

        def clip(max_norm=1.0):
            return optax.clip(max_norm)

        entries = [types.SimpleNamespace(name=f.__name__, function=f) for f in (plain, heavy, bounded, searching, clip)]
        monkeypatch.setattr(contestants.dictionary, "entries", lambda kind: entries)
        found = race.field()
        assert [one.label for one in found] == ["heavy", "heavy+momentum", "plain"]
        assert dict(found[1].options) == {"momentum": 0.9}

    def test_a_variant_is_the_optimizer_with_momentum(self):
        grid = {"rates": np.array([1e-4]), "steps": 50}
        named = race.run(["sgd+momentum", "sgd+nesterov"], **grid)
        own = race.run({"m": lambda r: optax.sgd(r, 0.9), "n": lambda r: optax.sgd(r, 0.9, nesterov=True)}, **grid)
        np.testing.assert_allclose(named.distances, own.distances, rtol=1e-12)
        assert named.distances[0, 0, 0] != named.distances[1, 0, 0]

    @pytest.mark.parametrize(
        ("optimizers", "error", "message"),
        [
            ("adm", ValueError, "no optimizer is called 'adm'; did you mean 'adam'"),
            (["weight_decay"], ValueError, "weight_decay cannot race: it needs more than a rate and a gradient"),
            (["adam+momentum"], ValueError, "adam has no option 'momentum'"),
            (["sgd+momentun"], ValueError, "what follows \\+ must be one of .*did you mean 'momentum'"),
            (["adam", "Adam"], ValueError, "optimizers must be different; 'adam' is given twice"),
            ([], ValueError, "must name at least one"),
            ([3], TypeError, "optimizers must be names"),
            ({"own": 3}, TypeError, "own must be a function of the rate"),
            ({"own": lambda rate: rate}, TypeError, "own must be a function of the rate"),
        ],
    )
    def test_mistakes(self, optimizers, error, message):
        with pytest.raises(error, match=message):
            race.run(optimizers)


class TestSurfaces:
    @pytest.mark.parametrize("surface", race.SURFACES.values(), ids=lambda s: s.name)
    def test_minima_are_minima_and_are_found(self, surface):
        found = engine.find_minima(surface.function, surface.window)
        assert len(found) == len(surface.minima)
        for minimum in surface.minima:
            assert np.hypot(*(found - minimum).T).min() < 1e-6
            assert float(surface.function(np.array(minimum))) == pytest.approx(0, abs=1e-9)

    def test_values(self):
        """At a place off the axes, by other formulas."""
        x, y = p = np.array([1.7, -0.6])
        assert float(surfaces.beale(p)) == pytest.approx(
            sum((a - x * (1 - y**k)) ** 2 for k, a in enumerate((1.5, 2.25, 2.625), 1)), rel=1e-6
        )
        assert float(surfaces.rosenbrock(p)) == pytest.approx(0.49 + 100 * (y - 2.89) ** 2, rel=1e-6)
        assert float(surfaces.himmelblau(p)) == pytest.approx((2.89 - 11.6) ** 2 + (1.7 + 0.36 - 7) ** 2, rel=1e-6)
        waves = sum(z * z - 10 * np.cos(2 * np.pi * z) + 10 for z in p)
        assert float(surfaces.rastrigin(p)) == pytest.approx(waves, rel=1e-6)
        axes = np.array([[np.cos(np.pi / 6), 0.5], [-0.5, np.cos(np.pi / 6)]])
        curvature = axes.T @ np.diag([1, 100]) @ axes
        d = p - (1, -0.5)
        assert float(surfaces.bowl(p)) == pytest.approx(d @ curvature @ d / 2, rel=1e-6)

    def test_beale_has_two_valleys_without_an_end(self):
        """Their floors, their limits, and the saddles that lead over to them."""
        for x in (-1e2, -1e4):
            assert surfaces.beale(np.array([x, 1 - 111 / 112 / x])) == pytest.approx(405 / 896, abs=10 / -x)
        for y in (-1e2, -1e4):
            assert surfaces.beale(np.array([-2.625 / y**3, y])) == pytest.approx(7.3125, abs=20 / -y)
        for saddle in ((0.0, 1.0), (0.10053794, -2.64451359)):
            assert np.abs(gradient(saddle)).max() < 1e-3
        places = np.array([[-0.3, 1.5], [0.3, 0.9], [0.09, -2.9], [0.11, -2.4]]).T
        feet = np.asarray(engine.descend(surfaces.beale, jnp.asarray(places)))
        assert feet[0, 0] < -100
        assert feet[1, 2] < -100
        np.testing.assert_allclose(feet[:, [1, 3]].T, [[3, 0.5]] * 2, atol=1e-3)

    def test_a_function_of_ones_own(self):
        def own(p):
            return (p[0] - 7) ** 2 + 3 * (p[1] + 2) ** 2 + 5

        made = race.run(["gradient_descent"], function=own, starts=[(9, -1)], rates=np.array([0.1]), steps=200)
        np.testing.assert_allclose(made.minima, [[7, -2]], atol=1e-6)
        assert made.places[made.destinations[0, 0, 0]] == "at the minimum"
        left, right, bottom, top = made.window
        assert left < 7 < 9 < right
        assert bottom < -2 < -1 < top

    def test_a_function_by_its_path(self, tmp_path, monkeypatch):
        (tmp_path / "hills.py").write_text(
            "def hill(p):\n    return (p[0] - 1) ** 2 + p[1] ** 4\ndef flat(p): return p\n"
        )
        monkeypatch.chdir(tmp_path)
        assert float(race.surface("hills:hill").function(jnp.array([3.0, 1.0]))) == 5
        with pytest.raises(ValueError, match="hills:hil: hills has no 'hil'; did you mean 'hill'"):
            race.surface("hills:hil")
        with pytest.raises(ValueError, match="flat must give one number for a vector of two"):
            race.surface("hills:flat")
        with pytest.raises(ValueError, match="cannot import 'hils'"):
            race.surface("hils:hill")

    def test_mistakes(self):
        with pytest.raises(ValueError, match="no function is called 'beal'; did you mean 'beale'"):
            race.run(function="beal")
        with pytest.raises(TypeError, match="function must be a name, a Surface or a function"):
            race.run(function=3)
        with pytest.raises(ValueError, match="cannot be called with a vector of two"):
            race.run(function=lambda x, y: x + y)
        with pytest.raises(ValueError, match="no minimum of slope was found"):
            race.run(function=race.Surface("slope", lambda p: p[0] + 2 * p[1]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be >= 1; got 0"),
        ({"steps": 1.5}, TypeError, "steps must be a whole number"),
        ({"tolerance": 0}, ValueError, "tolerance must be > 0; got 0"),
        ({"rates": (1.0, 0.1, 5)}, ValueError, "the highest rate must be >= 1"),
        ({"rates": (0.0, 0.1, 5)}, ValueError, "the lowest rate must be > 0"),
        ({"rates": (0.1, 1.0, 0)}, ValueError, "the number of rates must be >= 1"),
        ({"rates": np.array([0.1, -1])}, ValueError, "rates must be > 0"),
        ({"rates": np.array([0.1, np.inf])}, ValueError, "a row of numbers > 0"),
        ({"starts": (1, 2)}, ValueError, r"starts must be pairs \(x, y\)"),
        ({"starts": [(1, np.inf)]}, ValueError, "finite numbers"),
        ({"rates": (1e-6, 1.0, 10**7)}, ValueError, "too many lanes"),
    ],
)
def test_mistakes(options, error, message):
    with pytest.raises(error, match=message):
        race.run(["adam"], **options)


def test_the_module_is_a_room():
    assert jd.race is race


def test_the_page_has_all_who_race():
    page = (Path(race.__file__).parents[2] / "docs" / "race.md").read_text()
    for label in (one.label for one in race.field()):
        rows = re.findall(rf"^\| `{re.escape(label)}` \|", page, flags=re.M)
        assert len(rows) >= 2, f"{label} is not in docs/race.md: run docs/race.py again"
