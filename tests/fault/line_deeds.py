"""The calls of the probe of captured lines: a thousand lines each, from everything that can write in a worker."""

import ctypes
import logging
import os
import subprocess
import sys
import threading
import time
import warnings

TAIL = "abcdefghijklmnopqrstuvwxyz" * 2
WAYS = ("print", "thread", "logging", "warnings", "write", "printf", "child")
C = ctypes.CDLL(None)


def text(item, way, number):
    """What a line says."""
    return f"<{item} {way} {number} {TAIL}>"


def talk(item, each):
    """So many lines in each way, from a thread, a child and the call itself at once."""
    child = subprocess.Popen(
        ["sh", "-c", f'i=0; while [ $i -lt {each} ]; do echo "<{item} child $i {TAIL}>"; i=$((i+1)); done']
    )
    thread = threading.Thread(target=lambda: [print(text(item, "thread", number)) for number in range(each)])
    thread.start()
    warnings.simplefilter("always")
    log = logging.getLogger("lines")
    for number in range(each):
        print(text(item, "print", number))
        log.warning("%s", text(item, "logging", number))
        warnings.warn(text(item, "warnings", number), stacklevel=1)
        os.write(1 + number % 2, text(item, "write", number).encode() + b"\n")
        C.printf(b"%s\n", text(item, "printf", number).encode())
    thread.join()
    child.wait()
    return item


def log_plainly():
    logging.basicConfig(format="%(message)s", stream=sys.stderr, force=True)


def flood_or_work(item, busy_s, flood):
    """Item 0 writes as fast as it can for so long, or only waits; the others think a little and say a word."""
    began = time.monotonic()
    if item:
        print("short")
        time.sleep(0.01)
        return [began, time.monotonic()]
    if not flood:
        time.sleep(busy_s)
        return 0
    lines = (b"x" * 99 + b"\n") * 1000
    written = 0
    while time.monotonic() < began + busy_s:
        written += os.write(1, lines)
    return written
