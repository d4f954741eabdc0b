"""The work that every runner is given: the same functions for all of them, importable in any worker."""

from __future__ import annotations

import os
import time
from functools import cache
from random import Random

SEED = 20


def same(x):
    """Nothing at all."""
    return x


def spin(seconds):
    """Use so much CPU, whatever else the machine does: a runner that takes a core from its workers pays for it."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return seconds


def total(array):
    return float(array.sum())


def back(array):
    return array


def step(x, number, seconds):
    """One stage of a stream over x: the same time for each item, or another for each (seconds=None)."""
    spin(seconds if seconds is not None else uneven()[(x * 7 + number * 1009) % len(uneven())])
    return x + 1


def first_step(x, seconds):
    return step(x, 1, seconds)


def second_step(x, seconds):
    return step(x, 2, seconds)


def third_step(x, seconds):
    return step(x, 3, seconds)


@cache
def uneven():
    """Log-normal times, 0.3 ms on average."""
    return log_normal(4096, 0.0003, 1.0)


def log_normal(count, mean_s, sigma):
    """So many times, the same ones in every process, with this mean."""
    random = Random(SEED)
    times = [random.lognormvariate(0, sigma) for _ in range(count)]
    scale = mean_s * count / sum(times)
    return [seconds * scale for seconds in times]


def cell(seconds, *neighbours):
    """One task of a stencil: it reads what its neighbours gave a step before."""
    spin(seconds)
    return max(neighbours, default=0) + 1


def task(name, seconds):
    """One task of a graph: it spins, leaves its file, and writes down when it was at work.

    `task.c` is the same for tools that run commands.
    """
    began = time.monotonic()
    spin(seconds)
    with open(f"{os.environ['BENCH_OUT']}/{name}", "w"):
        pass
    line = f"{name} {began:.6f} {time.monotonic():.6f}\n".encode()
    log = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, line)
    os.close(log)


def noop(*_):
    """A stage that does nothing."""


def touch(to, *_):
    """A stage that leaves a file, made of those before it."""
    with open(to, "w") as file:
        file.write(to)


def leave(name, seconds):
    """A stage that leaves its file where tools of files look for it."""
    with open(f"out/{name}", "w"):
        pass
