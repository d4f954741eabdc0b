"""Where file descriptors are short, a run has fewer workers, says so, and ends well."""

import json
import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from pipeline_runner.events import PoolNarrowed
from pipeline_runner.worker import link

DEEDS = Path(__file__).parent / "limit_deeds.py"

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("backend", ["multiprocessing", "futures", "process", "pathos", "ppft"])
def test_a_run_of_many_workers_ends_well_and_says_in_a_line_why_it_had_fewer(tmp_path, repository, backend):
    call = f"{DEEDS}:noop"
    stage = {"call": call, "over": {"range": 40}, "chunk": 1, "backend": backend}
    if backend == "process":
        stage["returns"] = "list"
    (tmp_path / "pipeline.yaml").write_text(json.dumps({"version": 1, "stages": {"few": stage}}))
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "16", "--json"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(repository), "NO_COLOR": "1"},
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (64, 64)),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["stages"]["few"]["value"] == list(range(40))
    (warning,) = [line for line in ended.stderr.splitlines() if line.startswith("warning")]
    assert "of 16 workers: there may be 64 open files" in warning


def test_with_enough_of_them_nothing_is_said(run):
    assert not run({"few": {"call": "limit_deeds:noop", "over": [1, 2]}}).of(PoolNarrowed)


def test_a_worker_that_dies_before_it_is_heard_does_not_take_its_chunk_along(run, tmp_path, monkeypatch):
    """As one does that the kernel ends for its memory while it starts, and whose library says nothing."""
    plain = link.SocketLink.__init__
    first = tmp_path / "first"

    def die_first(self, address, lease):
        try:
            first.touch(exist_ok=False)
        except FileExistsError:
            plain(self, address, lease)
        else:
            link.os._exit(1)

    monkeypatch.setattr(link.SocketLink, "__init__", die_first)
    stage = {"call": "limit_deeds:noop", "over": [1, 2, 3], "start_method": "fork", "backend": "multiprocessing"}
    assert run({"unheard": stage | {"chunk": 1}})["unheard"] == [1, 2, 3]
    assert first.exists()
