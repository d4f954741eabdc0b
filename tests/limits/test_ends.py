"""However a run is ended, it leaves no process, semaphore or temporary file, soon, and with the exit code that says why."""

import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path
from time import monotonic

import pytest

pytestmark = pytest.mark.timeout(60)

HERE = Path(__file__).parent
DEEDS = HERE / "limit_deeds.py"
REPOSITORY = HERE.parent.parent
SOON_S = 1.0
AFTER_SIGKILL_S = 2.0
NOISE_S = 2.0  # the machine may be busy; a process that is left stays for minutes


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def children(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def below(pid):
    return [one for child in children(pid) for one in (child, *below(child))]


def semaphores(pids):
    """Names of the semaphores that these processes have open, as far as they can still be found by name."""
    found = set()
    for pid in pids:
        maps = Path(f"/proc/{pid}/maps")
        if maps.exists():
            found |= set(re.findall(r"/dev/shm/(\S+)$", maps.read_text(), re.MULTILINE))
    return found


COMMAND = ["-m", "pipeline_runner", "pipeline.yaml"]
SCRIPT = ["-c", "from pipeline_runner import Pipeline; Pipeline.load('pipeline.yaml').run()"]


class Runner:
    """`prun` in a process group of its own, whose one call has hidden processes and waits; or a script of a user's."""

    def __init__(
        self, folder, deed="hide_and_hang", prefix=(), backend="multiprocessing", way=None, command=COMMAND, **how
    ):
        self.pids = folder / "pids"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        stage = {"call": f"{DEEDS}:{deed}", "over": [str(self.pids)], "backend": backend}
        if way is not None:
            stage["start_method"] = way
        (folder / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": {"hide": stage}}))
        how = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "process_group": 0} | how
        how.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.temporary)},
            **how,
        )
        self._wait_until(lambda: self.pids.exists() and "ready" in self.pids.read_text(), 30)
        self.everyone = set(below(self.process.pid))
        if not prefix:  # else its numbers are those of its own namespace
            self.everyone |= {int(word) for word in self.pids.read_text().split() if word != "ready"}
        self.semaphores = semaphores(self.everyone | {self.process.pid})
        assert self.everyone

    def _wait_until(self, true, within_s):
        deadline = monotonic() + within_s
        while not true():
            assert monotonic() < deadline, f"not in {within_s} s"
            assert self.process.poll() is None, self.process.stderr.read()
            os.sched_yield()

    def ends(self, within_s):
        """Wait until every process is gone. Gives the exit code and what was said last."""
        deadline = monotonic() + within_s + NOISE_S
        said = b""
        if self.process.stderr:
            said, _ = self.process.stderr.read(), self.process.wait(10)
        code = self.process.wait(10)
        while [pid for pid in self.everyone if alive(pid)] or self.semaphores & set(os.listdir("/dev/shm")):
            assert monotonic() < deadline, f"left: {[pid for pid in self.everyone if alive(pid)]}"
            os.sched_yield()
        assert monotonic() < deadline
        assert os.listdir(self.temporary) == []
        return code, said.decode().strip().rpartition("\n")[2]

    def clean_up(self):
        for pid in {self.process.pid, *getattr(self, "everyone", ())}:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()


@pytest.fixture
def begin(tmp_path):
    runners = []

    def begin(*arguments, **how):
        runners.append(Runner(tmp_path, *arguments, **how))
        return runners[-1]

    yield begin
    for runner in runners:
        runner.clean_up()


METHODS = ("fork", "forkserver", "spawn")
WAYS = [
    ("multiprocessing", "fork"),
    ("multiprocessing", "forkserver"),
    ("multiprocessing", "spawn"),
    ("futures", None),
    ("process", None),
    ("pathos", None),
    ("ppft", None),
]


EVERY_WAY = [
    *((backend, way) for backend in ("multiprocessing", "futures", "process", "pathos") for way in METHODS),
    ("parallel", None),
    ("ppft", None),
]


@pytest.mark.parametrize(("backend", "way"), WAYS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_to_the_group_ends_everything_and_the_last_line_says_how_to_go_on(begin, backend, way, number, code):
    runner = begin(backend=backend, way=way)
    os.killpg(runner.process.pid, number)
    ended, last = runner.ends(SOON_S)
    assert ended == code
    assert re.search(r"prun --resume \S+$", last)


@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_a_killed_runner_takes_all_with_it(begin, backend, way):
    runner = begin(backend=backend, way=way)
    os.kill(runner.process.pid, signal.SIGKILL)
    assert runner.ends(AFTER_SIGKILL_S) == (-signal.SIGKILL, "")


@pytest.mark.parametrize("command", [COMMAND, SCRIPT], ids=["prun", "library"])
@pytest.mark.parametrize(("backend", "way"), EVERY_WAY)
def test_a_killed_runner_takes_a_worker_with_it_that_is_stuck_in_compiled_code(begin, backend, way, command):
    runner = begin("hide_and_hold_the_lock", backend=backend, way=way, command=command)
    os.kill(runner.process.pid, signal.SIGKILL)
    assert runner.ends(AFTER_SIGKILL_S) == (-signal.SIGKILL, "")


@pytest.mark.parametrize(("backend", "way"), [("multiprocessing", "fork"), ("futures", "spawn"), ("ppft", None)])
def test_a_killed_runner_takes_a_worker_with_it_that_matches_a_pattern_for_ever(begin, backend, way):
    runner = begin("hide_and_match_for_ever", backend=backend, way=way)
    os.kill(runner.process.pid, signal.SIGKILL)
    assert runner.ends(AFTER_SIGKILL_S) == (-signal.SIGKILL, "")


@pytest.mark.parametrize(("backend", "way"), [("multiprocessing", "fork"), ("multiprocessing", "forkserver")])
def test_a_killed_group_takes_with_it_what_has_left_the_group(begin, backend, way):
    runner = begin(backend=backend, way=way)
    runner.semaphores = set()  # the library's own process that takes them away was in the group
    os.killpg(runner.process.pid, signal.SIGKILL)
    assert runner.ends(AFTER_SIGKILL_S) == (-signal.SIGKILL, "")


def test_a_worker_that_is_stuck_in_compiled_code_ends_by_ctrl_c(begin):
    runner = begin("hold_the_lock")
    os.killpg(runner.process.pid, signal.SIGINT)
    assert runner.ends(SOON_S)[0] == 130


def test_a_second_ctrl_c_ends_it_at_once(begin):
    runner = begin()
    os.kill(runner.process.pid, signal.SIGSTOP)  # so that it finds both when it goes on
    os.killpg(runner.process.pid, signal.SIGINT)
    os.killpg(runner.process.pid, signal.SIGTERM)
    os.kill(runner.process.pid, signal.SIGCONT)
    code, _ = runner.ends(SOON_S)
    assert code in (130, 143)


def test_a_terminal_that_closes_ends_it(begin):
    master, slave = pty.openpty()
    runner = begin(
        stdin=slave,
        stdout=slave,
        stderr=slave,
        process_group=None,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(slave)
    os.close(master)
    assert runner.ends(SOON_S)[0] == 129


def test_one_started_to_outlive_its_terminal_ends_by_sigterm_only(begin):
    def nohup():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    runner = begin(preexec_fn=nohup)
    os.kill(runner.process.pid, signal.SIGINT)
    os.kill(runner.process.pid, signal.SIGHUP)
    assert alive(runner.process.pid)
    os.kill(runner.process.pid, signal.SIGTERM)
    assert runner.ends(SOON_S)[0] == 143


def test_as_the_first_process_of_a_container_it_answers_sigterm(begin):
    user = () if os.getuid() == 0 else ("--user", "--map-root-user")
    runner = begin(prefix=["unshare", *user, "--pid", "--fork", "--mount-proc"])
    (first,) = children(runner.process.pid)
    os.kill(first, signal.SIGTERM)
    assert runner.ends(SOON_S)[0] == 143
