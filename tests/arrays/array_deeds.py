"""Functions on large values, for the tests of this folder."""

import os
import signal
import time
from pathlib import Path

import numpy

MIB = 1 << 20
_seen = []


def made(number, mib=1):
    """An array whose elements are all its number."""
    return numpy.full(mib * MIB // 8, float(number))


def arrays(n, mib=1):
    for number in range(n):
        yield made(number, mib)


def text(number):
    return bytearray([number % 256]) * MIB


def mixed(number):
    """Large things of several kinds, two of them one object."""
    array = made(number)
    shared = text(number)
    return {"array": array, "again": array, "texts": (shared, bytes(shared)), "fortran": array.reshape(512, -1).T}


def plus_one(array):
    return array + 1


def first(array):
    return float(array[0])


def total(array):
    return float(array.sum())


def of_all(arrays):
    return [float(array.sum()) for array in arrays]


def told(value):
    array, (one, other) = value["array"], value["texts"]
    assert value["again"] is array
    assert value["fortran"].flags.f_contiguous
    assert float(value["fortran"].sum()) == float(array.sum())
    return [float(array[-1]), type(one).__name__, one[-1], type(other).__name__, other[0], len(other)]


def scribbled(array):
    """What was in an array that is written to then."""
    was = float(array[0])
    array[:] = -1.0
    return was


def scribbled_and_failed(array, folder):
    was = scribbled(array)
    mark = Path(folder, str(was))
    if not mark.exists():
        mark.touch()
        raise ValueError("not yet")
    return was


def hoarded(array):
    """What all the arrays are that this process was ever given."""
    _seen.append(array)
    return [[float(one[0]), float(one[-1])] for one in _seen]


def died_once(array, folder):
    """Kill the worker, the first time that a call is made of this array."""
    mark = Path(folder, f"died-{first(array)}")
    if first(array) % 5 == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return array * 2


def read_and_written(item):
    """Bytes that this process has read and written so far by read(2), write(2) and the like."""
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"]) + int(told["wchar"])


def failed(array):
    was = scribbled(array)
    raise ValueError(f"it was {was}")


def stuck(array, folder):
    """Tell that it has begun, and never end."""
    Path(folder, str(os.getpid())).touch()
    while True:
        signal.pause()


def slow_total(array):
    """Its sum, told only after whoever weighs workers has had time to look."""
    found = total(array)
    time.sleep(0.3)
    return found


def doubled_slowly(array):
    double = array * 2
    time.sleep(0.3)
    return double


def same(array):
    return array


def minus_if_odd(array):
    """The array itself, written to where its number is odd."""
    if array[0] % 2:
        array *= -1
    return array
