"""What the control tests call: they say what they were given, write down when they run, and fail when told to."""

from __future__ import annotations

import os
import time
from pathlib import Path


def same(value=None, **more):
    return value


def given(**values):
    return values


def noun(value, noun):
    return f"{noun} {value}"


def fails_at(value, at=2):
    if value == at:
        raise ValueError(f"{value} is no good")
    return value


def fails():
    raise ValueError("no good")


def noted(log, text="ran"):
    """Write a line that is whole whoever else writes."""
    with Path(log).open("a") as file:
        file.write(f"{text}\n")
    return text


def span(value, log, seconds=0.05):
    """Write down when a call was at work."""
    began = time.monotonic()
    time.sleep(seconds)  # it is at work for so long: the very thing that is measured
    with Path(log).open("a") as file:
        file.write(f"{began} {time.monotonic()} {value}\n")
    return value


def meets(value, log, of):
    """Whether so many calls came to be at work together: each waits for the others, though not for ever."""
    noted(log, value)
    until = time.monotonic() + 20
    while len(Path(log).read_text().splitlines()) < of:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def dies_once(value, log):
    """Kill this worker on the first call of all."""
    try:
        os.close(os.open(f"{log}.died", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return span(value, log)
    return os.kill(os.getpid(), 9)


def hangs(value):
    time.sleep(60)


def hangs_once(value, log):
    try:
        os.close(os.open(f"{log}.hung", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return span(value, log)
    return time.sleep(60)


def here(_=None):
    return os.getcwd()


def variable(_=None, name="OMP_NUM_THREADS"):
    return os.environ.get(name)


def waits_for(path, text="", log=None):
    """Open a pipe that somebody else opens too."""
    with open(path):
        pass
    if log:
        noted(log, text)
    return text


def makes(folder):
    Path(folder).mkdir()


def begins_and_hangs(path):
    """Open a pipe that the test opens too, and stay at work."""
    with open(path):
        hangs(None)


def fails_in_turn(log, errors):
    """Raise these errors, one a call; after the last of them, give back how many calls there were."""
    noted(log)
    calls = len(Path(log).read_text().splitlines())
    if calls <= len(errors):
        raise {"ValueError": ValueError, "KeyError": KeyError}[errors[calls - 1]]("no good")
    return calls
