"""The two processes that a library of pools has beside its workers: the fork server that they are forked from, and the
tracker that takes away the semaphores of whoever was killed. Started so that nothing of them is ever left."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from shutil import rmtree
from tempfile import TemporaryDirectory

from pipeline_runner.typed import Any

PRELOAD = [f"pipeline_runner.worker.{name}" for name in ("server", "perform", "start")]
OF_POOLS = ("pool", "queues", "synchronize")  # what each worker of the library's own pools would import for itself

PLENTY = 512  # descriptors; where there are fewer, each is opened when its turn comes

launch_lock: Any = threading.RLock()  # of whatever is being launched
os.register_at_fork(after_in_child=launch_lock._at_fork_reinit)  # it is held in the middle of a fork


def launch_no_more(within_s: float = 0.5) -> bool:
    """Let a launch that is under way come to its end, and begin no other: this process is about to end at once. What is
    half launched would be seen by nobody, say that its parent has gone, and leave its folder. False: time was up.

    May be asked by a handler that has interrupted a launch.
    """
    return bool(launch_lock.acquire(timeout=within_s))


def tidy_up() -> None:
    """Take away what would be left if this process ended at this very moment."""
    for folder in list(_opening):
        rmtree(folder, ignore_errors=True)


_opening: set[str] = set()  # folders of fork servers that are just being started


def may_start_early() -> bool:
    """Whether these may be started before anybody needs them."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit == resource.RLIM_INFINITY or limit >= PLENTY


def without_ctrl_c() -> AbstractContextManager[None]:
    """A process launched here is born deaf to SIGINT; `begin` makes it deaf for good and opens its ears."""
    return deaf_to(signal.SIGINT)


@contextmanager
def deaf_to(*numbers: signal.Signals) -> Iterator[None]:
    """What is launched here inherits that these signals are held back."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_tracker(library: str) -> None:
    """Have the process running that takes away the semaphores of whoever was killed.

    Its library leaves it open to SIGHUP, by which a closed terminal would end it together with the
    runner; and it makes remarks about what it tidies up, on a terminal that is somebody else's by then.
    """
    remarks = "ignore:resource_tracker:UserWarning"
    with launch_lock, deaf_to(signal.SIGHUP):
        sys.warnoptions.append(remarks)
        try:
            import_module(f"{library}.resource_tracker").ensure_running()
        finally:
            sys.warnoptions.remove(remarks)


@contextmanager
def hidden_main() -> Iterator[None]:
    """Keep workers from running the user's script again.

    A spawned worker imports the parent's `__main__`, so a script without the usual guard would
    start itself in every worker. Nothing of ours lives there: user functions travel by name or by
    value. The two attributes read by `get_preparation_data` are away for as long as a launch takes.
    """
    main: dict[str, Any] = sys.modules["__main__"].__dict__
    hidden = {name: value for name, value in main.items() if name in ("__file__", "__spec__")}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(hidden)


def start_fork_server(library: str) -> None:
    """Have the library's fork server running, with the worker's code loaded and without the user's script.

    The list of preloads is the whole program's, so it is put back as it was. The server hands
    its blocked SIGINT down to every process that it forks, so that none of them answers a Ctrl-C
    before it has come as far as `begin`; a process that the program itself starts from it later
    is deaf to Ctrl-C too, and ends by SIGTERM as pools end theirs.
    """
    module = import_module(f"{library}.forkserver")
    server = module._forkserver
    if _runs(server):
        return  # what follows makes a folder, and takes it away again
    before = server._preload_modules
    module.set_forkserver_preload([*PRELOAD, *(f"{library}.{name}" for name in OF_POOLS)])
    try:
        with without_ctrl_c(), leaving_no_file(server, library):
            module.ensure_running()
    finally:
        server._preload_modules = before


def _runs(server: Any) -> bool:
    """Whether it was started and has not ended. Its exit code is left for its library to read."""
    pid = server._forkserver_pid
    return pid is not None and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


@contextmanager
def leaving_no_file(server: Any, library: str) -> Iterator[None]:
    """Start the fork server here, its socket off the disk afterwards, with a way to it that ends with this process.

    The library would keep the socket's file and its folder until its exit, and a SIGKILL to the
    runner would leave them behind. A descriptor of the file leads to the socket after its name is
    gone; an abstract name would be open to every user. The folder too is named by a descriptor:
    a socket's address has at most 107 bytes, and a TMPDIR may be longer.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    config = import_module(f"{library}.process").current_process()._config
    had = config.get("tempdir")
    with TemporaryDirectory(prefix="prun-") as folder:
        _opening.add(folder)
        there = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        config["tempdir"] = f"/proc/self/fd/{there}"
        try:
            yield
            address = server._forkserver_address
            if address.startswith(config["tempdir"]):
                server._forkserver_address = f"/proc/self/fd/{os.open(address, os.O_PATH | os.O_CLOEXEC)}"
        finally:
            config["tempdir"] = had
            os.close(there)
    _opening.discard(folder)


def _forget_fork_servers() -> None:
    """After a fork: the fork servers that this process remembers are its parent's.

    The libraries would wait for a process that is no child of theirs (ChildProcessError), and the
    copy of the alive pipe would keep the parent's server alive after the parent.
    """
    for library in ("multiprocessing", "multiprocess"):
        module = sys.modules.get(f"{library}.forkserver")
        if module is None or module._forkserver._forkserver_pid is None:
            continue
        server = module._forkserver
        with suppress(OSError):
            os.close(server._forkserver_alive_fd)
        server._forkserver_pid = server._forkserver_alive_fd = server._forkserver_address = None
        server._lock = threading.Lock()  # a thread of the parent's may have held it


os.register_at_fork(after_in_child=_forget_fork_servers)
