"""The arithmetic floor of a step: its products at the best rate that any of them reaches, Adam at copying speed."""

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
import torch

from _workloads import Task

REPEATS = 100  # products in one call of XLA's, so that the call itself does not count


def floor(task: Task) -> Callable[[int], dict[str, float]]:
    """Measure the floor anew at each turn, and claim it for every step of the turn."""
    products = [(a, b, in_a_loop(a, b)) for a, b in matrix_products(task)]
    counts = [i * o + o for i, o in zip(task.widths, task.widths[1:], strict=False)]
    work = [a.shape[0] * a.shape[1] * b.shape[1] for a, b, _ in products]  # multiplications and additions

    def run(epochs: int) -> dict[str, float]:
        rate = max(count / fastest_product(*pair) for count, pair in zip(work, products, strict=True))
        return {"seconds": (sum(work) / rate + adam(sum(counts))) * task.steps * epochs}

    return run


def matrix_products(task: Task) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Forward, weight gradient and, but for the first layer, input gradient; transposed as they come."""
    for layer, (i, o) in enumerate(zip(task.widths, task.widths[1:], strict=False)):
        x, w, delta = torch.rand(task.batch, i), torch.rand(i, o), torch.rand(task.batch, o)
        yield x, w
        yield x.T, delta
        if layer:
            yield delta, w.T


def in_a_loop(a: torch.Tensor, b: torch.Tensor) -> Callable[[], object]:
    """XLA's product ``REPEATS`` times in one program; each waits for the one before it."""
    # XLA folds a transpose into its product, so both come as they lie in memory.
    straight = [array.is_contiguous() for array in (a, b)]
    arrays = [jax.numpy.asarray((x if as_is else x.T).numpy()) for x, as_is in zip((a, b), straight, strict=True)]

    @jax.jit
    def program(a, b):
        def step(a, _):
            left, right = (x if as_is else x.T for x, as_is in zip((a, b), straight, strict=True))
            product = left @ right
            return a.at[0, 0].add(1e-9 * (product[0, 0] + product[-1, -1])), None

        return jax.lax.scan(step, a, None, length=REPEATS)[0]

    return lambda: jax.block_until_ready(program(*arrays))


def fastest_product(a: torch.Tensor, b: torch.Tensor, loop: Callable[[], object]) -> float:
    """Seconds of one product by whichever of XLA, torch (1 or 2 threads) and NumPy is quickest."""
    out = torch.empty(a.shape[0], b.shape[1])
    a_array, b_array, out_array = a.numpy(), b.numpy(), out.numpy()
    candidates = [best(loop) / REPEATS, best(lambda: np.matmul(a_array, b_array, out=out_array))]
    for threads in (1, 2):
        torch.set_num_threads(threads)
        candidates.append(best(lambda: torch.mm(a, b, out=out)))
    return min(candidates)


def adam(count: int) -> float:
    """Seconds to read four arrays of ``count`` floats and write three, at the rate of a copy with that working set."""
    source, target = torch.rand(2 * count), torch.rand(2 * count)
    candidates = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        candidates.append(best(lambda: target.copy_(source)))
    return min(candidates) * 7 / 4  # the copy moves 2 × 2 arrays' worth


def best(work: Callable[[], object], seconds: float = 0.005, repeats: int = 5) -> float:
    """The least mean time of a call, in seconds, over ``repeats`` stretches of about ``seconds`` each."""
    work()
    started = time.perf_counter()
    work()
    calls = max(1, int(seconds / max(time.perf_counter() - started, 1e-7)))
    least = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        least = min(least, (time.perf_counter() - started) / calls)
    return least
