"""Streams: batches of arrays beyond memory, the same ones after a resume, and no more memory than was said."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import jaxdict as jd
from jaxdict.data import stream
from small_run import HELD, LOSS, MODEL, X, Y, same_bits


def numbered(count, **options):
    """A stream whose examples are their own numbers."""
    rows = np.arange(count, dtype=np.float32)
    return stream(rows[:, None], rows.astype(np.int32), **{"batch_size": 4, "key": 0} | options)


def epoch(batches, number=0):
    return [np.asarray(targets) for _, targets, *_ in batches(number)]


@pytest.mark.parametrize("memory", [1, 64, 160, 336, 1 << 20])
@pytest.mark.parametrize("count", [3, 40, 42])
def test_an_epoch_is_every_example_once_in_batches(memory, count):
    batches = numbered(count, memory=memory)
    found = epoch(batches)
    assert len(found) == len(batches)
    assert [len(one) for one in found[:-1]] == [4] * (len(found) - 1)
    assert sorted(np.concatenate(found)) == list(range(count))
    for inputs, targets in batches(1):
        np.testing.assert_array_equal(inputs[:, 0], targets)


def test_the_order_is_of_the_key_and_the_epoch():
    batches = numbered(60, memory=200)
    one, other = (np.concatenate(epoch(batches, number)) for number in (0, 1))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, np.concatenate(epoch(numbered(60, memory=200, key=1))))
    np.testing.assert_array_equal(one, np.concatenate(epoch(numbered(60, memory=200))))
    np.testing.assert_array_equal(one, np.concatenate(epoch(numbered(60, memory=200, key=jax.random.key(0)))))


def test_all_orders_are_alike_within_a_window():
    """Chi-squared over where each of eight examples comes, 4000 epochs; the bound is that of p = 1e-6."""
    batches = numbered(8)
    places = np.zeros((8, 8))
    for number in range(4000):
        places[np.concatenate(epoch(batches, number)), np.arange(8)] += 1
    assert np.sum((places - 500) ** 2 / 500) < 114


def test_what_is_read_is_contiguous_and_once():
    class Watched:
        shape, dtype, asked = (1000, 2), np.dtype(np.float32), []

        def __getitem__(self, rows):
            self.asked.append((rows.start, rows.stop))
            return np.zeros((rows.stop - rows.start, 2), np.float32)

    watched = Watched()
    batches = stream(watched, np.zeros(1000, np.int32), batch_size=10, key=0, memory=16 * 12 * 50)
    assert (batches.piece, batches.window) == (50, 16)
    list(batches(0))
    assert sorted(watched.asked) == [(start, start + 50) for start in range(0, 1000, 50)]
    assert watched.asked != sorted(watched.asked)


def test_trees_and_weights_go_along():
    inputs = {"a": np.arange(10.0), "b": np.arange(20).reshape(10, 2)}
    for given, targets, weights in stream(inputs, np.arange(10), weights=np.arange(10) / 2, batch_size=3, key=0)(0):
        np.testing.assert_array_equal(given["a"], targets)
        np.testing.assert_array_equal(given["b"][:, 0], 2 * targets)
        np.testing.assert_array_equal(weights, targets / 2)


def train(epochs, batches, **more):
    return jd.fit(MODEL, LOSS, "adam", batches, key=3, epochs=epochs, validation=HELD, **more)


def test_a_run_over_a_mapped_file_is_that_over_its_array_and_resumes(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    mapped = [np.load(tmp_path / name, mmap_mode="r") for name in ("x.npy", "y.npy")]
    options = {"batch_size": 16, "key": 7, "memory": 600}
    batches = stream(*mapped, **options)
    assert batches.count > batches.window * batches.piece
    whole = train(4, batches)
    kept = [jd.callbacks.checkpoint(tmp_path / "run", every=1, seconds=None)]
    train(2, batches, callbacks=kept)
    resumed = train(4, stream(X, Y, **options), resume=tmp_path / "run")
    same_bits((resumed.params, resumed.optimizer_state), (whole.params, whole.optimizer_state))
    np.testing.assert_array_equal(resumed.history["validation_loss"], whole.history["validation_loss"])
    assert whole.step == 16
    with pytest.raises(ValueError, match="trained on other data"):
        train(4, stream(X, Y, **options | {"key": 8}), resume=tmp_path / "run")


def test_changes_of_a_private_map_are_kept(tmp_path):
    np.save(tmp_path / "x.npy", X)
    private = np.load(tmp_path / "x.npy", mmap_mode="c")
    private[3] = 9
    seen = np.concatenate(
        [inputs for number in (0, 1) for inputs, _ in stream(private, Y, batch_size=50, key=0)(number)]
    )
    assert np.sum(np.all(seen == 9, axis=1)) == 2


def test_a_function_of_the_epoch_is_told_its_number():
    told = []

    def batches(epoch):
        told.append(epoch)
        yield X[:16], Y[:16]

    half = train(2, batches)
    train(4, batches, resume=half)
    assert told == [0, 1, 0, 2, 3]  # the first batch of epoch 0 shows what the data is like

    def by_name(*, epoch):
        return batches(epoch)

    same_bits(train(2, by_name).params, half.params)


def test_a_run_that_is_complete_knows_its_steps():
    batches = stream(X, Y, batch_size=16, key=0)
    done = train(2, batches)
    assert train(2, batches, resume=done).step == done.step == 8
    with pytest.raises(TypeError, match=r"data must be .inputs, targets.*got Stream"):
        done.evaluate(batches)
    weights = np.linspace(0, 1, len(X))
    assert done.evaluate((X, Y, weights)) == done.evaluate((X, Y), sample_weight=weights)


def test_a_run_does_not_go_on_as_another():
    batches = stream(X, Y, batch_size=16, key=0)
    done = train(2, batches)
    other = jd.models.mlp([4, 5, 3], activation="tanh")
    with pytest.raises(
        ValueError, match=r"the run: 'observers/0/params/dense_1/bias' has shape \(8,\), \(5,\) expected"
    ):
        jd.fit(other, LOSS, "adam", batches, key=3, epochs=4, validation=HELD, resume=done)
    with pytest.raises(ValueError, match="the run: 'history/accuracy' is missing"):
        train(4, batches, resume=done, metrics="accuracy")


def test_what_cannot_be_streamed_is_an_error():
    for arguments, options, message in (
        ((X, Y[:-1]), {}, "50 examples and .* 49"),
        ((X, Y), {"batch_size": 0}, "batch_size must be >= 1"),
        ((X, Y), {"memory": 0}, "memory must be >= 1"),
        ((X, [1.0] * 50), {}, "a stream is of arrays, with a shape and a dtype; got float"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            stream(*arguments, **{"batch_size": 4, "key": 0} | options)
    bad = X.copy()
    bad[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"batch [1-4] inputs: nan"):
        train(1, stream(bad, Y, batch_size=16, key=0))


LARGE = """
import resource
import numpy as np
import jaxdict as jd

x, y = (np.load(name, mmap_mode="r") for name in ("x.npy", "y.npy"))
model = jd.models.mlp([256, 16, 3])
batches = jd.data.stream(x, y, batch_size=512, key=0, memory={memory})
train = lambda count, batches: jd.fit(model, "sparse_softmax_cross_entropy", "adam", batches, key=0, epochs=count)
train(1, jd.data.stream(x[:1000], y[:1000], batch_size=512, key=0, memory={memory}))  # what a run takes anyway
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run = train(2, batches)
assert run.step == 2 * len(batches)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


@pytest.mark.slow
def test_memory_stays_within_what_was_said(tmp_path):
    count, memory = 600_000, 32 * 2**20
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (count, 256))
    rng = np.random.default_rng(0)
    for start in range(0, count, 20_000):
        x[start : start + 20_000] = rng.normal(size=(20_000, 256))
    x.flush()
    np.save(tmp_path / "y.npy", rng.integers(0, 3, count))
    done = subprocess.run(
        [sys.executable, "-c", LARGE.format(memory=memory)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout)
    print(f"{x.nbytes / 2**20:.0f} MiB in windows of {memory / 2**20:.0f}: {grown / 2**20:.1f} MiB more at the peak")
    assert grown < memory + 32 * 2**20 < x.nbytes / 5


def test_grain_gives_batches():
    grain = pytest.importorskip("grain")
    examples = grain.MapDataset.source([(x, y) for x, y in zip(X, Y, strict=True)]).seed(0)
    batches = examples.shuffle().batch(16)
    run = train(2, batches)
    assert run.step == 8
    other = train(2, lambda: ((x, y) for x, y in batches))
    same_bits(run.params, other.params)
    by_epoch = train(2, lambda epoch: iter(examples.shuffle(seed=epoch).batch(16)))
    assert not np.array_equal(by_epoch.history["loss"], run.history["loss"])
    loader = grain.DataLoader(
        data_source=[(x, y) for x, y in zip(X, Y, strict=True)], operations=[grain.transforms.Batch(16)],
        sampler=grain.samplers.SequentialSampler(num_records=50),
    )  # fmt: skip
    assert train(1, loader).step == 4
