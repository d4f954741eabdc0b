"""Parts of a pipeline, on the command line and in Python: which stages run, and where the others' results come from."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from pipeline_runner import UsageError
from pipeline_runner.plan.forecast import Action

pytestmark = pytest.mark.timeout(120)

WORK = """
from notes import note

def read(x):
    note("read", x)
    return x

def count(x, more=0):
    note("count", x)
    return x + more

def total(values):
    note("total", *values)
    return sum(values)

def apart(x):
    note("apart", x)
    return x
"""


def stages(more=0, **keys):
    return {
        "read": {"call": "work:read", "over": [1, 2, 3], "returns": "list", **keys},
        "count": {"call": "work:count", "over": "${stages.read}", "with": {"more": more}, "returns": "list", **keys},
        "total": {"call": "work:total", "with": {"values": "${stages.count}"}, **keys},
        "apart": {"call": "work:apart", "over": {"range": 4}, "cache": True},
    }


@pytest.fixture
def project(made):
    made.module("work", WORK)
    made.stages(stages())
    return made


@pytest.fixture
def prun(project):
    def run(*words):
        command = [sys.executable, "-m", "pipeline_runner", *words]
        return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False, timeout=90)

    return run


READ = ["read 1", "read 2", "read 3"]
COUNT = ["count 1", "count 2", "count 3"]
APART = ["apart 0", "apart 1", "apart 2", "apart 3"]


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        ({}, [*COUNT, *READ, "total 1 2 3"]),
        ({"stages": ["count"]}, [*COUNT, *READ]),
        ({"until": ["read"]}, READ),
        ({"stages": ["count"], "until": ["apart"]}, [*COUNT, *READ]),
        ({"since": ["count"]}, [*COUNT, "total 1 2 3"]),
        ({"since": ["count"], "until": ["count"]}, COUNT),
        ({"only": ["count"]}, COUNT),
        ({"only": ["total"]}, ["total 1 2 3"]),
        ({"only": ["read", "total"]}, [*READ, "total 1 2 3"]),
        ({"only": ["apart"]}, []),
        ({"since": ["total"]}, ["total 1 2 3"]),
    ],
)
def test_a_part_runs_and_takes_what_it_reads_from_before(project, part, lines):
    project.run()
    project.made()

    result = project.run(part=part)

    assert project.made() == sorted(lines)
    assert result.status == "done"
    assert result.get("total", 6) == 6
    told = project.forecast(part=part)
    assert {name for name, outlook in told.items() if outlook.action is not Action.RUN} >= set(told) - {
        line.split()[0] for line in lines
    }


def test_what_is_made_in_part_is_made_of_what_there_is_now(project):
    project.run()
    project.made()
    project.stages(stages(more=10))
    assert project.run(part={"since": ["count"]})["total"] == 36
    assert project.made() == [*COUNT, "total 11 12 13"]


def test_sources_that_are_not_there_are_refused_with_what_has_changed(project):
    with pytest.raises(UsageError, match='"read": it has not been run yet'):
        project.run(part={"only": ["count"]})
    project.run()
    project.made()
    project.stages(stages(more=3))
    with pytest.raises(UsageError) as refused:
        project.run(part={"only": ["total"]})
    assert str(refused.value).splitlines() == [
        "what the stages that are to run would read is not there from before",
        '  "count": argument more has changed',
        "  run them first, for example by leaving out what keeps them from it: prun FILE total",
    ]
    assert project.made() == []


def test_sources_from_nowhere_are_refused(project):
    with pytest.raises(UsageError, match="nothing was kept"):
        project.run(part={"only": ["total"]}, state=False)


def test_items_of_one_value_that_are_not_there_as_they_would_be_made_now_are_refused_before(project):
    def told(count):
        return {
            "one": {"call": "work:read", "with": {"x": [1, 2]}},
            "each": {"call": "work:count", "over": "${stages.one}", "with": {"more": count}},
            "sum": {"call": "work:total", "with": {"values": "${stages.each}"}},
        }

    project.stages(told(0))
    project.run()
    project.stages(told(1))
    with pytest.raises(UsageError, match='"each": argument more has changed'):
        project.run(part={"only": ["sum"]})


def test_what_only_the_run_can_find_missing_fails_the_stage_by_name(project):
    def told(count):
        return {
            "one": {"call": "builtins:range", "with": [1, 3]},
            "each": {"call": "work:count", "over": "${stages.one}", "with": {"more": count}},
            "sum": {"call": "work:total", "with": {"values": "${stages.each}"}},
        }

    project.stages(told(0))
    project.run()
    project.stages(told(1))
    result = project.run(part={"only": ["sum"]})
    assert [failed.stage for failed in result.failures] == ["each"]
    assert result.failures[0].failure.message.startswith("each[0] is not there from before, as it would be made now")


def test_a_stage_that_there_is_not_is_refused(project):
    for key in ("stages", "until", "since", "only"):
        with pytest.raises(UsageError, match='there is no stage "cuont"; did you mean "count"'):
            project.run(part={key: ["cuont"]})
    with pytest.raises(UsageError, match="no stage is left to run"):
        project.run(part={"since": ["count"], "until": ["apart"]})


def test_a_sample_has_the_first_items_of_each_source(project):
    result = project.run(sample=2)
    assert (result["count"], result["total"], result["apart"]) == ([1, 2], 3, [0, 1])
    assert result.state.stages["apart"].calls == 2
    project.made()
    assert project.run()["total"] == 6
    assert [line for line in project.made() if "apart" in line] == ["apart 2", "apart 3"]


@pytest.mark.parametrize(
    "over",
    [{"lines": "lines"}, {"glob": "files/*"}, {"generate": "natural:naturals"}, [["a", "b", "c"], {"range": 3}]],
    ids=["lines", "glob", "generate", "columns"],
)
def test_a_sample_of_any_source(project, over):
    project.write("lines", "a\nb\nc\n")
    for name in "abc":
        project.write(f"files/{name}", "")
    project.module("natural", "import itertools\ndef naturals():\n    return itertools.count()\n")
    project.module("work", WORK + "\ndef any(*given):\n    return 1\n")
    args = {"args": "zip"} if isinstance(over, list) else {}
    project.stages({"any": {"call": "work:any", "over": over, "cache": True, **args}})
    assert project.run(sample=2)["any"] == [1, 1]
    assert project.forecast(part={"sample": 2})["any"].calls in (2, None)


# The command line.


def test_the_command_has_them_all(project, prun):
    assert prun("pipeline.yaml", "-q").returncode == 0
    project.made()
    for words, made in [
        (["--only", "total"], ["total 1 2 3"]),
        (["--from", "count"], [*COUNT, "total 1 2 3"]),
        (["count", "-q"], [*COUNT, *READ]),
        (["--only", "apart"], []),
        (["--only", "apart", "--force"], APART),
        (["--only", "apart", "--no-cache"], APART),
        (["apart", "--sample", "2", "--force"], APART[:2]),
        (["-n"], []),
    ]:
        ran = prun("pipeline.yaml", *words)
        assert ran.returncode == 0, ran.stderr
        assert project.made() == sorted(made), words


def test_what_is_not_there_is_refused_with_exit_code_2(prun):
    ran = prun("pipeline.yaml", "--only", "total")
    assert ran.returncode == 2
    assert '  "count": it has not been run yet' in ran.stderr


def test_a_plan_foretells_what_a_run_refuses_since_it_is_not_there_from_before(project, prun):
    prun("pipeline.yaml", "-q")
    for words in (["plan", "pipeline.yaml", "--from", "total"], ["pipeline.yaml", "--from", "total", "-n"]):
        told = prun(*words)
        assert told.returncode == 0, told.stderr
    project.write("work.py", WORK.replace("return x + more", "return more + x"))
    refused = prun("pipeline.yaml", "--from", "total")
    assert refused.returncode == 2
    for words in (["plan", "pipeline.yaml", "--from", "total"], ["pipeline.yaml", "--from", "total", "-n"]):
        told = prun(*words)
        assert told.returncode == 2
        assert "now      not run; not all of it is there from before\n" in told.stdout
        assert "what the stages that are to run would read is not there from before" in told.stderr
        assert told.stderr.splitlines()[-3:] == refused.stderr.splitlines()[-3:]


@pytest.mark.parametrize("other", [["--from", "read"], ["--until", "total"], ["count"]])
def test_only_and_what_names_more_contradict_each_other(prun, other):
    ran = prun("pipeline.yaml", *other, "--only", "count")
    assert ran.returncode == 2
    assert (
        f"--only count and {' '.join(other) if len(other) > 1 else 'STAGE count'} contradict each other" in ran.stderr
    )


def test_a_dry_run_and_plan_say_what_would_be_made_and_why(project, prun):
    prun("pipeline.yaml", "-q")
    project.write("work.py", WORK.replace("return sum(values)", "return sum(values) + 0"))

    told = prun("plan", "pipeline.yaml", "--state", ".prun")
    dry = prun("pipeline.yaml", "-n")

    assert told.stdout == dry.stdout
    assert "  now      reuse all 4 calls\n" in told.stdout
    assert "  because  function work:total has changed\n" in told.stdout
    assert "  because  it is made in every run: it does not say `cache: true`\n" in told.stdout
    assert re.search(r"\nIn all about [0-9.]+ s, as long as it took before\.", told.stdout)

    as_json = json.loads(prun("plan", "pipeline.yaml", "--json", "-j", "1").stdout)
    apart, total = as_json["stages"]["apart"], as_json["stages"]["total"]
    assert {key: apart[key] for key in ("action", "calls", "reused", "because", "seconds")} == {
        "action": "reuse",
        "calls": 4,
        "reused": 4,
        "because": [],
        "seconds": 0.0,
    }
    assert (total["action"], total["because"]) == ("run", ["function work:total has changed"])
    assert total["seconds"] > 0
    assert as_json["seconds"] >= total["seconds"]


def test_a_plan_imports_nothing_and_writes_nothing(project, prun):
    prun("pipeline.yaml", "-q")
    project.made()
    before = sorted(path.name for path in project.state.rglob("*"))
    project.write("work.py", WORK + '\nnote("imported")\n')
    assert prun("plan", "pipeline.yaml").returncode == 0
    assert project.made() == []
    assert sorted(path.name for path in project.state.rglob("*")) == before


def test_the_time_is_that_of_the_last_run_for_as_many_calls_and_workers(project):
    import dataclasses

    project.module("work", WORK + "\nimport time\ndef slow(x):\n    time.sleep(0.2)\n")
    items = list(range(8))
    project.stages({"slow": {"call": "work:slow", "over": items, "chunk": 1, "backend": "multiprocessing"}})
    project.run(workers=2)
    two = project.forecast(workers=2)["slow"].seconds
    one = project.forecast(workers=1)["slow"].seconds
    project.stages({"slow": {"call": "work:slow", "over": [*items, *items], "chunk": 1, "backend": "multiprocessing"}})
    twice = project.forecast(workers=2)["slow"].seconds
    assert two is not None
    assert 0.8 <= two < 8
    assert one == pytest.approx(2 * two)
    assert twice == pytest.approx(2 * two)
    assert dataclasses.is_dataclass(project.load().forecast())
