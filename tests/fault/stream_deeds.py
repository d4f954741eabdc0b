"""The calls of the stream probe, which count themselves, and a source that lets the runner look at each step."""

import mmap
import os
import struct
import time
from functools import cache
from pathlib import Path

SLOTS = 1 << 12  # a counter for each process, by its number
EVERY = 250  # items between two looks


def look(read):
    """What the probe puts here is called in the runner, when so many items were read."""


def numbers(count):
    for number in range(count):
        if number % EVERY == 0:
            look(number)
        yield number


def same(item, counts):
    counter(counts).add()
    return item


def drop(item, counts, slow):
    if slow and item % 5000 == 0:
        time.sleep(0.05)  # longer than the stage before it takes for as many
    counter(counts).add()


class Counter:
    """This process's own among the counters in a file: nobody else writes there, so nobody needs a lock."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self.memory = memoryview(mmap.mmap(file.fileno(), SLOTS * 8)).cast("Q")
        self.slot = os.getpid() % SLOTS

    def add(self):
        self.memory[self.slot] += 1


@cache
def counter(path):
    return Counter(path)


def make_counts(path):
    Path(path).write_bytes(bytes(SLOTS * 8))


def counted(path):
    """What all of them have counted."""
    return sum(struct.unpack(f"{SLOTS}Q", Path(path).read_bytes()))
