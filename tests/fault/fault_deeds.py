"""What the calls of the fault sweep do: eleven of twelve are innocent, and one, BAD, does the deed."""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

BAD = 5
STUBBORN = "stubborn"  # by this name the sweep finds grandchildren that were left
FREE = 4  # calls that end before those that wait
LAST_WORDS = "whatever comes now was to be expected"
LOCK = threading.Lock()  # the runner of the sweep holds its own copy for the whole run


def value(item):
    """What a call of this item gives when nothing happens to it."""
    return item * 2 + 1


def work(item):
    time.sleep(0.005)
    return value(item)


def bad(item):
    """Whether this is the one, which then has something to say."""
    if item == BAD:
        print(LAST_WORDS, flush=True)
    return item == BAD


def raise_it(item):
    if bad(item):
        raise ValueError(f"no {item} today")
    return work(item)


def be_killed(item):
    if bad(item):
        end_by(signal.SIGKILL)
    return work(item)


def be_killed_once(item, folder):
    if bad(item):
        try:
            os.close(os.open(f"{folder}/died", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return work(item)
        end_by(signal.SIGKILL)
    return work(item)


def end_by(number):
    os.kill(os.getpid(), number)
    signal.pause()


def crash(item):
    if bad(item):
        faulthandler.disable()  # its stacks would be the last words
        ctypes.string_at(0)
    return work(item)


def little_memory():
    """The worker's setup: no more address space than it has, and a little."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (256 << 20), resource.RLIM_INFINITY))


def want_too_much(item):
    return len(bytearray(2 << 30)) if bad(item) else work(item)


def be_killed_for_memory(item, cgroup):
    """Grow in a control group of little memory until the kernel ends it."""
    if bad(item):
        Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
        hoard = []
        while True:
            hoard.append(b"x" * (1 << 20))
    return work(item)


def leave_at_once(item):
    if bad(item):
        os._exit(0)
    return work(item)


def leave(item):
    if bad(item):
        sys.exit(3)
    return work(item)


def interrupt(item):
    if bad(item):
        raise KeyboardInterrupt
    return work(item)


def unpicklable(item):
    return (x for x in [item]) if bad(item) else work(item)


class Unreadable:
    """Pickles, and does not come back."""

    def __reduce__(self):
        return refuse, ()


def refuse():
    raise RuntimeError("cannot be read back")


def unreadable(item):
    return Unreadable() if bad(item) else work(item)


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_two_arguments(item):
    if bad(item):
        raise TwoArguments(item, "more")
    return work(item)


class Unsendable(Exception):
    def __reduce__(self):
        raise TypeError("not me")


def raise_unsendable(item):
    if bad(item):
        raise Unsendable("cannot be sent")
    return work(item)


def nested(item):
    if not bad(item):
        return work(item)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return deep


def recurse(item):
    return down(0) if bad(item) else work(item)


def down(depth):
    return down(depth + 1)


def hang(item):
    while bad(item):
        signal.pause()
    return work(item)


def hang_with_a_child(item):
    if bad(item):
        subprocess.run(["sleep", "1000"], check=False)
    return work(item)


def hang_with_a_stubborn_grandchild(item):
    """A child that has left its session, its parent and SIGTERM behind; then the call hangs."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path("/proc/self/comm").write_text(STUBBORN)
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
    while True:
        signal.pause()


def stop_itself(item):
    if bad(item):
        os.kill(os.getpid(), signal.SIGSTOP)
    return work(item)


def leave_a_grandchild(item):
    """The shell ends at once, and what it began goes on with every pipe that it was given."""
    if bad(item):
        subprocess.run(["sh", "-c", "sleep 1000 &"], check=True, close_fds=False)
    return work(item)


def open_a_pool(item):
    if not bad(item):
        return work(item)
    with multiprocessing.Pool(2) as pool:
        return sum(pool.map(abs, [-item, -item, -1]))


def leave_a_thread(item):
    if bad(item):
        threading.Thread(target=threading.Event().wait, daemon=False).start()
    return work(item)


def read_stdin(item):
    """Nothing is there to be read, for Python or for a child, and nobody waits for it."""
    if bad(item):
        subprocess.run(["cat"], check=True, stdout=subprocess.DEVNULL)
        return input("how many? ")
    return work(item)


def change_its_surroundings(item):
    umask = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("Umask"))
    seen = [
        value(item),
        os.getcwd(),
        os.environ.get("FAULT"),
        umask.split()[1],
        signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL,
    ]
    if bad(item):
        os.chdir("/")
        os.environ["FAULT"] = "changed"
        os.umask(0o777)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    time.sleep(0.005)
    return seen


def take_locks(item):
    """Both are held in the runner while its workers are made."""
    with LOCK:
        logging.getLogger("fault").debug("has the lock of logging's handlers")
    return work(item)


def flood(item):
    """100 MB: by Python's print, and by what compiled code and children write."""
    if bad(item):
        line = "x" * 999
        for _ in range(50_000):
            print(line)
        piece = (line + "\n").encode() * 100
        for _ in range(500):
            os.write(1, piece)
    return work(item)


def wait_behind_a_gate(item, folder):
    """Note each time that a call begins. Those after FREE wait until the gate is open, longer than anybody would."""
    with open(f"{folder}/began", "a") as began:
        began.write(f"{item}\n")
    if item >= FREE and not os.path.exists(f"{folder}/gate-is-open"):
        with open(f"{folder}/news", "wb", buffering=0) as news:
            news.write(b".")
        time.sleep(1000)
    return work(item)


def hide_and_hang(item, folder):
    """Three processes that are hard to find: in a session of its own, in its own group, and one without a parent."""
    stuck = "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", stuck], start_new_session=True)
    subprocess.Popen(["sleep", "600"], process_group=0)
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if os.fork():
            os._exit(0)
        time.sleep(600)
    os.wait()
    tell(folder)
    time.sleep(600)


def tell(folder):
    with open(f"{folder}/news", "wb", buffering=0) as news:
        news.write(b".")


def hold_the_lock(item, folder):
    """Stuck in compiled code that never lets another thread run."""
    tell(folder)
    ctypes.PyDLL(None).sleep(600)


class SlowToPrint:
    """Its text comes when somebody opens the gate: the runner is caught while it prints results."""

    def __init__(self, folder):
        self.folder = os.path.abspath(folder)

    def __repr__(self):
        tell(self.folder)
        with open(f"{self.folder}/gate", "rb") as gate:
            return gate.read(1).decode()


def print_slowly(item, folder):
    return SlowToPrint(folder)
