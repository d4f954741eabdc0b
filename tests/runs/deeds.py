"""What the stages of the tests call."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event


def same(item):
    return item


def double(item):
    return item * 2


def join(*args, **kwargs):
    """Its arguments, so that a test sees how it was called."""
    return [list(args), dict(sorted(kwargs.items()))]


def total(values):
    return sum(values)


def add(a, b):
    return a + b


def nothing():
    return None


def boom(item):
    raise ValueError(f"no {item}")


def boom_at(item, at):
    if item in at:
        raise ValueError(f"no {item}")
    return item


def pid(_=None):
    return os.getpid()


def record(path, line):
    """Append a line to a file, whole, whoever else does."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{line}\n")


def recorded(item, path):
    record(path, item)
    return item


def pass_gate(item, gate, at):
    """Wait at a gate, if it is this one's turn."""
    if item == at:
        with open(gate):
            pass
    return item


def open_gate(item, gate, at):
    if item == at:
        with open(gate, "w"):
            pass
    return item


def die_once(item, at, folder):
    if item == at:
        try:
            os.close(os.open(f"{folder}/died-{item}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return item
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail_times(item, times, folder):
    """Raise so many times, and then be well."""
    tries = Path(folder) / f"tries-{item}"
    record(tries, "x")
    if len(tries.read_text().split()) <= times:
        raise OSError(f"not yet {item}")
    return item


def hang(item, at):
    if item == at:
        signal.pause()
    return item


def print_it(item):
    print(f"out {item}")
    print(f"err {item}", file=sys.stderr)
    os.write(1, f"raw {item}\n".encode())
    return item


def environment(name):
    return os.environ.get(name)


def setup_into(path, word="set"):
    record(path, os.getpid())
    os.environ["WAS_SET"] = word


def was_set(_):
    return [os.getpid(), os.environ.get("WAS_SET")]


def busy(item, path):
    """Note how many calls of this test are at work now, in any process."""
    with _counted(path, +1) as now, _counted(path, 0):
        record(f"{path}.seen", now)
        for _ in range(20_000):
            pass
    return item


@contextlib.contextmanager
def _counted(path, step):
    yield _count(path, step)
    if step:
        _count(path, -step)


def _count(path, step):
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        now = int(file.read() or 0) + step
        file.truncate(0)
        file.write(str(now))
    return now


def pairs():
    return {"a": 1, "b": 2}


def numbers(n=3):
    return list(range(n))


def counting(n):
    yield from range(n)


def lambda_of(item):
    return lambda: item


def call_it(function):
    return function()


def unpicklable(item):
    return (x for x in [item]) if item == 1 else item


class Unreadable:
    """Pickles, and does not come back."""

    def __reduce__(self):
        return (_refuse, ())


def _refuse():
    raise RuntimeError("cannot be read")


def unreadable(item):
    return Unreadable() if item == 1 else item


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_two(item):
    raise TwoArguments(item, 2)


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")

    def __reduce__(self):
        raise RuntimeError("no pickle")


def raise_wordless(item):
    raise Wordless


def interrupt(item):
    raise KeyboardInterrupt if item == 1 else SystemExit(3)


def deep(item):
    nested = []
    for _ in range(100_000):
        nested = [nested]
    return nested if item == 1 else item


def dying_generator():
    yield 1
    raise LookupError("the source broke")


def endless():
    number = 0
    while True:
        yield number
        number += 1


class Point:
    """A class of the project, that values have."""

    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x

    def norm(self):
        return abs(self.x)


def point(x):
    return Point(x)


def norm(point):
    return point.norm()


class Picky(Exception):
    """An exception of the project, that can be sent."""


def raise_picky(item):
    raise Picky(item)


def linger(seconds):
    """Take so long."""
    import time

    time.sleep(seconds)
    return seconds


def die_by(item, how):
    """Die in the way that `how` has for this item."""
    way = how.get(str(item))
    if way == "exit":
        os._exit(0)
    if way is not None:
        os.kill(os.getpid(), way)
        signal.pause()
    return item


def fail_then_die(item, at, folder):
    """Raise at the first try, die at the second, be well at the third."""
    if item == at:
        tries = Path(folder) / "tries"
        record(tries, "x")
        match len(tries.read_text().split()):
            case 1:
                raise OSError("first")
            case 2:
                os.kill(os.getpid(), signal.SIGKILL)
    return item


def slow_setup(path):
    linger(0.1)
    record(path, os.getpid())


def slow_environment(name):
    linger(0.01 * (os.getpid() % 3) + 0.01)
    return os.environ.get(name)


def write_bytes(text):
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.flush()


def where(_):
    return os.getcwd()


def listed(items, seconds=0.0):
    """A list, after some time."""
    Event().wait(seconds)
    return items


def slowly(item, seconds):
    Event().wait(seconds)
    return item


def slept(seconds):
    time.sleep(seconds)
    return seconds


def slept_all(items):
    return [slept(seconds) for seconds in items]


def slept_first(seconds, _):
    return slept(seconds)


def slept_as_told(path):
    with open(path) as file:
        return slept(float(file.read()))
