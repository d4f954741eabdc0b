"""The calls of the isolation probe: each tells what it finds, then changes all of it."""

import decimal
import locale
import os
import random
import signal
import sys

HEARD = (signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM)


def find_and_change(item):
    mask = os.umask(0o22)
    os.umask(mask)
    found = {
        "cwd": os.getcwd(),
        "environ": sorted(os.environ.items()),
        "umask": mask,
        "signal handlers": [str(signal.getsignal(number)) for number in HEARD],
        "sys.path": list(sys.path),
        "decimal context": decimal.getcontext().prec,
        "locale": locale.setlocale(locale.LC_NUMERIC),
        "random state": random.getstate()[1][-1],
    }
    os.chdir("/")
    os.environ["LEAK"] = str(item)
    del os.environ["PATH"]
    os.umask(0o77)
    for number in HEARD:
        signal.signal(number, signal.SIG_IGN)
    sys.path.append(f"/leak/{item}")
    decimal.getcontext().prec = 5 + item
    locale.setlocale(locale.LC_NUMERIC, "C.UTF-8" if item % 2 else "C")
    random.seed(item)
    random.random()
    return found
