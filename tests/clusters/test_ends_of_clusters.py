"""Runs on a cluster that are ended: what was done is kept, nothing runs on, and the cache knows no backend."""

import json
import os
import signal
import subprocess
import time

import pytest

pytestmark = pytest.mark.timeout(120)

BACKENDS = ["dask", "ray", "mpi"]


def started(project, *words):
    return subprocess.Popen(
        project.command(*words),
        cwd=project.folder,
        env=project.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(true, within_s=60):
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def held(project):
    """The processes in which calls wait."""
    return [one.split()[1] for one in project.made() if one.startswith("pid")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_of_a_run_that_is_killed_and_then_interrupted_nothing_runs_on_and_resume_makes_only_what_is_owed(
    project, backend
):
    """Twice on the cluster, the end of it on a pool: what is owed is the same everywhere."""
    stages = {"a": {"call": "deeds:held", "over": {"range": 4}, "chunk": 1}}
    project.write(stages, defaults={"backend": backend}, profiles={"pool": {"defaults": {"backend": "threads"}}})
    runner = started(project, "pipeline.yaml")
    wait_until(lambda: len(held(project)) == 2)
    run = json.loads(project.prun("runs", "--json").stdout)[0]["run"]

    runner.send_signal(signal.SIGKILL)
    runner.communicate()
    wait_until(lambda: project.processes() == [], within_s=5)

    runner = started(project, "pipeline.yaml", "--resume", run)
    wait_until(lambda: len(held(project)) == 4)
    runner.send_signal(signal.SIGTERM)
    told, _ = runner.communicate(timeout=15)
    assert runner.returncode == 143
    assert "prun --resume" in told
    wait_until(lambda: project.processes() == [], within_s=5)

    (project.folder / "open").touch()
    assert project.values("--resume", run, "--profile", "pool") == {"a": [0, 1, 2, 3]}
    made = [one for one in project.made() if one.startswith("held")]
    assert made == ["held 0", "held 1", *["held 2"] * 3, *["held 3"] * 3]


def test_what_was_made_on_a_pool_is_taken_on_a_cluster_and_the_other_way_round(project):
    stages = {"a": {"call": "deeds:double", "over": {"range": 4}, "cache": True}}
    profiles = {name: {"defaults": {"backend": name}} for name in ("mpi", "dask")}
    project.write(stages, profiles=profiles)

    for words in ([], ["--profile", "mpi"]):
        assert project.prun("pipeline.yaml", *words).returncode == 0
    assert project.made() == [f"double {n}" for n in range(4)]

    project.write({"a": {**stages["a"], "salt": "new"}}, profiles=profiles)
    for words in (["--profile", "dask"], []):
        assert project.prun("pipeline.yaml", *words).returncode == 0
    assert project.made() == sorted([f"double {n}" for n in range(4)] * 2)


@pytest.mark.parametrize("keys", [{"dask": {"scheduler": "tcp://127.0.0.1:9"}}, {"ray": {"address": "127.0.0.1:9"}}])
def test_a_cluster_that_does_not_answer_is_told_within_seconds(project, keys):
    (backend,) = keys
    project.write({"a": {"call": "deeds:add", "over": [1]}}, defaults={"backend": backend}, **keys)
    done = project.prun("pipeline.yaml")
    assert done.returncode == 1
    assert "cannot reach" in done.stderr
    assert "127.0.0.1:9" in done.stderr


def test_a_launcher_that_is_not_there_is_told(project):
    project.write(
        {"a": {"call": "deeds:add", "over": [1]}}, defaults={"backend": "mpi"}, mpi={"launcher": "no-such-mpiexec"}
    )
    done = project.prun("pipeline.yaml")
    assert done.returncode == 1
    assert "no-such-mpiexec" in done.stderr


def test_a_scheduler_of_ones_own_is_found_and_stays(project, tmp_path):
    """With a worker that dies: the call alone is lost, and the scheduler goes on."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1") as cluster,
        Client(cluster) as client,
    ):
        project.write(
            {"a": {"call": "deeds:deed", "over": [0, 3, 2], "on_error": "skip"}},
            profiles={"cluster": {"defaults": {"backend": "dask"}, "dask": {"scheduler": cluster.scheduler_address}}},
        )
        assert project.values("--profile", "cluster") == {"a": [0, 2]}
        assert client.submit(abs, -1).result() == 1

        project.write(
            {"a": {"call": "deeds:held", "over": [2, 3], "chunk": 1}},
            defaults={"backend": "dask"},
            dask={"scheduler": cluster.scheduler_address},
        )
        runner = started(project, "pipeline.yaml")
        wait_until(lambda: len(held(project)) == 2)
        runner.send_signal(signal.SIGKILL)
        runner.communicate()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in held(project)), within_s=10)
        assert client.submit(abs, -2).result() == 2
