"""The arithmetic floor of a step: its matrix products at the best rate measured here, and Adam at copying speed."""

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from _workloads import Task


def floor(task: Task) -> Callable[[int], dict[str, float]]:
    """Measure the floor anew at each turn, and claim it for every step of the turn."""
    products = list(matrix_products(task))
    counts = [i * o + o for i, o in zip(task.widths, task.widths[1:], strict=False)]

    def run(epochs: int) -> dict[str, float]:
        seconds = sum(map(fastest_product, products)) + adam(sum(counts))
        return {"seconds": seconds * task.steps * epochs}

    return run


def matrix_products(task: Task) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Forward, weight gradient and, but for the first layer, input gradient; transposed as they come."""
    for layer, (i, o) in enumerate(zip(task.widths, task.widths[1:], strict=False)):
        x, w, delta = torch.rand(task.batch, i), torch.rand(i, o), torch.rand(task.batch, o)
        yield x, w
        yield x.T, delta
        if layer:
            yield delta, w.T


def fastest_product(pair: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Seconds of one product by whichever of torch (1 or 2 threads) and NumPy is quickest."""
    a, b = pair
    out = torch.empty(a.shape[0], b.shape[1])
    a_array, b_array, out_array = a.numpy(), b.numpy(), out.numpy()
    candidates = [best(lambda: np.matmul(a_array, b_array, out=out_array))]
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
