"""What calls do in these tests: they write, change their surroundings, and leave processes behind."""

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

STUCK = "import signal, time; signal.signal(15, signal.SIG_IGN); signal.signal(1, signal.SIG_IGN); time.sleep(600)"


def noop(x):
    return x


def talk(x):
    print("print", x)
    logging.warning("logging %s", x)
    warnings.warn(f"warnings {x}", stacklevel=1)
    os.write(1, b"os.write %d\n" % x)
    os.write(2, b"os.write to stderr %d\n" % x)
    ctypes.CDLL(None).printf(b"printf %d\n", x)
    subprocess.run(["sh", "-c", f"echo child {x}; echo child to stderr {x} >&2"], check=True)
    sys.stdout.buffer.write(b"bytes %d\n" % x)
    print("without newline", x, end="")


def pieces_of_printf(x):
    """What compiled code hands to the kernel at a time when it prints lines: a pipe of packets keeps them apart."""
    library = ctypes.CDLL(None)
    reader, writer = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
    usual = os.dup(1)
    os.dup2(writer, 1)
    for number in range(3):
        library.printf(b"%s\n", b"line %d" % number)
    os.dup2(usual, 1)
    return [os.read(reader, 4096).decode() for _ in range(3)]


def one_write(x):
    os.write(1, b"%d\n" % x)


def half_line(x):
    print("half", x, end="")


def many_lines(x):
    for number in range(1000):
        print(x, number, "abcdefghijklmnopqrstuvwxyz" * 2)


def last_words(x):
    print("print", x)
    os.write(2, b"compiled %d" % x)
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def fails_after_talking(x):
    for number in range(30):
        print("line", number)
    raise ValueError(x)


def flood(x):
    if x == 0:
        subprocess.run(
            ["sh", "-c", "head -c 100000000 /dev/zero | tr '\\0' y | fold -w 99; echo; echo the end"], check=True
        )
    return x


def read_stdin(x):
    return sys.stdin.read() + subprocess.run(["cat"], capture_output=True, text=True, check=True).stdout


def disturb(x):
    before = os.umask(0o22)
    os.umask(before)
    found = [os.getcwd(), os.environ.get("LEAK"), "HOME" in os.environ, before, str(signal.getsignal(signal.SIGUSR1))]
    os.chdir("/")
    os.environ["LEAK"] = "yes"
    del os.environ["HOME"]
    os.umask(0o77)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return found


def disturb_below_python(x):
    """As compiled code does it, so that nothing of Python's notices."""
    libc = ctypes.CDLL(None)
    found = os.getcwd()
    libc.chdir(b"/")
    time.sleep(0.001)
    return found


def set_up():
    os.environ["SETUP"] = "yes"
    os.chdir("/")


def after_set_up(x):
    return [os.getcwd(), os.environ.get("SETUP")]


def own_pool(x):
    import multiprocessing

    with multiprocessing.Pool(2) as pool:
        return pool.map(abs, [x, -x])


def tell_pid(path, pid):
    with open(path, "a") as file:
        file.write(f"{pid}\n")


def hide(path):
    """A child in a session of its own, one that ignores SIGTERM, and one whose parent is gone."""
    tell_pid(path, os.getpid())
    tell_pid(path, subprocess.Popen([sys.executable, "-c", STUCK], start_new_session=True).pid)
    tell_pid(path, subprocess.Popen(["sleep", "600"], process_group=0).pid)
    if os.fork() == 0:
        os.setsid()
        child = os.fork()
        if child:
            tell_pid(path, child)
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for descriptor in (0, 1, 2):
            os.close(descriptor)
        time.sleep(600)
    os.wait()


def hide_and_hang(path):
    hide(path)
    tell_pid(path, "ready")
    time.sleep(600)


def hide_and_die(path):
    hide(path)
    os.kill(os.getpid(), signal.SIGKILL)


def hide_and_leave(path):
    hide(path)
    os._exit(0)


def hide_and_stop(path):
    hide(path)
    os.kill(os.getpid(), signal.SIGSTOP)


def hide_and_end(path):
    hide(path)
    return "well"


def hold_the_lock(path):
    """Stuck in compiled code that never lets another thread run."""
    tell_pid(path, os.getpid())
    tell_pid(path, "ready")
    ctypes.PyDLL(None).sleep(600)


def hide_and_hold_the_lock(path):
    hide(path)
    hold_the_lock(path)


def hide_and_match_for_ever(path):
    """A pattern that takes longer than the universe is old, and lets nobody else run meanwhile."""
    hide(path)
    tell_pid(path, "ready")
    re.match("(a+)+$", "a" * 60 + "b")


def eat(mebibytes):
    held = bytearray(mebibytes << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    if mebibytes > 100:
        time.sleep(600)
    return mebibytes


def eat_in_a_child(mebibytes):
    subprocess.run(
        [sys.executable, "-c", f"import time; held = b'x' * ({mebibytes} << 20); time.sleep({mebibytes > 100} * 600)"],
        check=True,
    )
    return mebibytes


def count_children(x):
    """Leave one corpse of a stranger behind, and give how many this worker has."""
    subprocess.run(["sh", "-c", "true & true & true &"], check=True)
    return x


def leave_a_thread(x):
    """One that is not a daemon, and never ends."""
    import threading

    threading.Thread(target=time.sleep, args=(600,)).start()
    return x


def fork_beside_a_held_lock(x):
    """The child finds a lock taken by a thread that is not there any more."""
    import multiprocessing
    import threading

    lock = threading.Lock()
    with lock:
        child = multiprocessing.get_context("fork").Process(target=lock.acquire)
        child.start()
        if x == 1:
            child.join()
        child.kill()
        child.join()
    return x


def recurse(x):
    return recurse(x + 1) if x else x


def nest(x):
    deep = []
    for _ in range(100_000 * x):
        deep = [deep]
    return deep


def hang_with_a_child(x):
    if x == 1:
        subprocess.run(["sleep", "600"], check=True)
    return x


def stuck_or_fail(path):
    """The first is stuck in compiled code; the second sees that, and fails."""
    path, failing = path.removeprefix("fail:"), path.startswith("fail:")
    if not failing:
        hide_and_hold_the_lock(path)
    while not (os.path.exists(path) and "ready" in Path(path).read_text()):
        time.sleep(0.01)
    raise ValueError("the other is stuck")


def speak_first():
    print("set up")


def half_a_line_until(x, heard):
    """The rest of it is written when the runner has told the line before it."""
    os.write(1, b"line\nhalf ")
    with open(heard) as fifo:
        fifo.read()
    os.write(1, b"a line\n")
