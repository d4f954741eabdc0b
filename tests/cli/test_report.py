"""`prun report RUN`, `prun … --report FILE` and `prun graph --format html`: real runs, and what their pages then say."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(60)

DEEDS = """
import os, shutil, signal

def double(x): return x * 2
def once(x, path):
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("the first time")
    return x
def evil(x):
    print(f"<script>print({x})</script>\\x1b[31m")
    raise ValueError(f"<script>alert({x})</script> & '\\"> \\x1b]0;title\\x07")
def tell(x):
    print("the word is", os.environ["TOKEN"])
    raise RuntimeError(f"cannot log in as {os.environ['TOKEN']}")
def wait(x, path):
    open(path, "w").close()
    signal.pause()
def remove(folder): shutil.rmtree(folder)
def touch(path): open(path, "w").close()
"""
VOID = {"meta", "input", "br", "link", "img"}


class Page(HTMLParser):
    """A page, read as strictly as its parser allows: every element that is opened is closed, in order."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text, self.inside, self.attributes = [], [], [], {}, []
        self.feed(text)
        self.close()
        assert self.open == []
        self.said = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] in (["script"], ["style"]):
            self.inside.setdefault(self.open[-1], []).append(data)
        else:
            self.text.append(data)

    def of(self, tag, name):
        return [value for found, attribute, value in self.attributes if (found, attribute) == (tag, name)]


@pytest.fixture(autouse=True)
def _own_key(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PRUN_STATE", raising=False)


@pytest.fixture
def write(tmp_path):
    """Write the pipeline and its functions."""
    (tmp_path / "deeds.py").write_text(DEEDS)

    def write(stages, **top):
        (tmp_path / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "p", **top, "stages": stages}))

    return write


@pytest.fixture
def page(tmp_path):
    def page(name="page.html"):
        return Page((tmp_path / name).read_text("utf-8"))

    return page


CHAIN = {
    "a": {"call": "deeds:double", "over": {"range": 6}, "returns": "iterator"},
    "b": {"call": "deeds:double", "over": "${stages.a}"},
    "bad": {"call": "deeds:evil", "over": [1, 2], "needs": ["b"], "on_error": "finish", "retry": 1},
    "after": {"call": "deeds:double", "with": [1], "needs": ["bad"]},
}


def test_the_page_of_a_run_that_failed_tells_what_ran_what_failed_and_what_to_type(prun, write, page):
    write(CHAIN, params={"top": 3})
    ran = prun("pipeline.yaml", "-j", "2", "-p", "top=4", "--report", "page.html")
    assert ran.returncode == 1, ran.stderr
    assert "\nreport: " in ran.stderr
    told = page()
    assert told.of("html", "lang") == ["en"]
    for text in (
        "p",
        "failed",
        "-p top",
        "4",
        "2 calls",
        "ValueError",
        "Traceback (most recent call last)",
        "deeds.py:12",
    ):
        assert text in told.said
    assert "a done 12" not in told.said
    assert {"a", "b", "bad", "after"} <= set(told.of("tr", "data-stage"))
    assert {"a", "b", "bad", "after"} <= set(told.of("g", "data-stage"))  # of the graph
    kinds = told.of("rect", "class")
    assert kinds.count("box done") == 2
    assert kinds.count("box failed") == kinds.count("bar failed") == kinds.count("box cancelled") == 1
    assert "a → b, " in told.said
    assert told.said.count("bad[1] is tried again: ValueError") == 1
    resume, replay = (
        line.split(": ", 1)[1] for line in ran.stderr.splitlines() if line.startswith(("go on", "  see it"))
    )
    assert resume in told.said
    assert replay in told.said
    headings = [tag for tag in told.tags if tag in ("h1", "h2")]
    assert headings == ["h1"] + ["h2"] * 7


def test_the_same_page_is_made_later(prun, write, tmp_path):
    write(CHAIN)
    prun("pipeline.yaml", "-q", "--report", "page.html")
    made = prun("report", "last")
    assert made.returncode == 0, made.stderr
    path = Path(made.stderr.removeprefix("report: ").strip())
    assert path.parent == tmp_path
    assert (made.stdout, path.suffix) == ("", ".html")
    assert path.read_text() == (tmp_path / "page.html").read_text()
    assert prun("report", path.stem[:17], "-o", "again.html").returncode == 0
    assert not list(tmp_path.glob(".prun-*"))
    assert path.stat().st_mode & 0o777 == (tmp_path / "deeds.py").stat().st_mode & 0o777


def test_what_users_code_says_stays_text(prun, write, page):
    write({"bad": {"call": "deeds:evil", "over": ["<img src=x onerror=alert(1)>", "'\"><b>"], "on_error": "finish"}})
    prun("pipeline.yaml", "--report", "page.html")
    told = page()
    assert told.tags.count("script") == 1
    assert "img" not in told.tags
    assert "<script>alert(<img src=x onerror=alert(1)>)</script> & '\">" in told.said
    assert "<script>print(" in told.said
    assert "\x1b" not in told.said
    assert "\x07" not in told.said


def test_the_page_fetches_nothing_and_lets_no_script_run_but_its_own(prun, write, page):
    write(CHAIN)
    prun("pipeline.yaml", "-q", "--report", "page.html")
    told = page()
    (rules,) = [value for value in told.of("meta", "content") if value.startswith("default-src 'none'")]
    for tag in ("script", "style"):
        (text,) = told.inside[tag]
        assert f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'" in rules
        assert "url(" not in text
        assert "@import" not in text
    names = {name for _, name, _ in told.attributes}
    assert not names & {"src", "style", "onclick", "onload", "srcset", "action"}
    assert all(link.startswith("#") for link in told.of("a", "href"))


def test_a_secret_is_not_in_the_page(prun, write, page, monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN", "correct-horse-battery")
    write({"login": {"call": "deeds:tell", "over": ["correct-horse-battery"]}}, secrets=["TOKEN"])
    assert prun("pipeline.yaml", "--report", "page.html").returncode == 1
    assert "correct-horse" not in (tmp_path / "page.html").read_text()
    assert "cannot log in as ***" in page().said
    assert "the word is ***" in page().said


def test_a_run_that_was_resumed_tells_its_tries_and_what_it_took_from_before(prun, write, page):
    write(
        {
            "a": {"call": "deeds:double", "over": {"range": 6}},
            "b": {"call": "deeds:once", "with": {"x": "${stages.a}", "path": "seen"}},
        }
    )
    assert prun("pipeline.yaml", "-q").returncode == 1
    assert prun("pipeline.yaml", "--resume", "-q", "--report", "page.html").returncode == 0
    told = page()
    assert "tries 2, the first of them" in told.said
    assert "6 of them reused" in told.said
    assert "box reused" in told.of("rect", "class")
    assert "Failures" not in told.said


def test_stages_that_went_together_and_those_of_another_file_are_told(prun, write, page, tmp_path):
    (tmp_path / "inner.yaml").write_text(
        json.dumps({"version": 1, "stages": {"x": CHAIN["a"], "y": {**CHAIN["b"], "over": "${stages.x}"}}})
    )
    write({"first": {"call": "deeds:double", "with": [1]}, "sub": {"pipeline": "inner.yaml", "needs": ["first"]}})
    assert prun("pipeline.yaml", "-q", "--report", "page.html").returncode == 0
    assert {"first", "sub.x", "sub.y"} <= set(page().of("tr", "data-stage"))
    assert "sub" in page().text  # the frame's title


def started(tmp_path, *words):
    os.mkfifo(tmp_path / "begun")
    run = subprocess.Popen(
        [sys.executable, "-m", "pipeline_runner", "pipeline.yaml", "-j", "1", *words],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    (tmp_path / "begun").read_text()  # until the call has opened it
    return run


WAITING = {
    "a": {"call": "deeds:double", "over": [1, 2]},
    "b": {"call": "deeds:wait", "with": {"x": "${stages.a}", "path": "begun"}},
    "c": {"call": "deeds:double", "with": ["${stages.b}"]},
}


def test_a_run_at_work_and_one_that_was_killed_tell_what_there_is(prun, write, page, tmp_path):
    write(WAITING)
    run = started(tmp_path)
    try:
        assert prun("report", "last", "-o", "page.html").returncode == 0
        assert words_of_row(page(), "b")[:2] == ["b", "▶ running"]
        assert "so far" in page().said
    finally:
        run.kill()
        run.communicate()
    assert prun("report", "last", "-o", "page.html").returncode == 0
    assert "interrupted" in page().said
    assert words_of_row(page(), "a")[:2] == ["a", "✓ done"]
    assert words_of_row(page(), "b")[:2] == ["b", "◌ unfinished"]
    assert words_of_row(page(), "c")[:2] == ["c", "· not begun"]
    assert "prun --resume" in page().said


def words_of_row(told, stage):
    """The words of a stage's row in the table."""
    words = [word.strip() for word in told.text if word.strip()]
    at = words.index("method") + 1  # the table's last heading
    return words[words.index(stage, at) :]


def test_a_run_that_is_told_to_end_still_writes_its_report(write, page, tmp_path):
    write(WAITING)
    run = started(tmp_path, "--report", "page.html")
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert run.returncode == 130
    assert "report: " in told
    assert "interrupted" in page().said


@pytest.mark.parametrize(
    ("file", "why"), [("nowhere/page.html", "No such file"), (".", "Is a directory"), ("a" * 300, "too long")]
)
def test_a_report_that_cannot_be_written_is_told_before_anything_runs(prun, write, tmp_path, file, why):
    write({"a": {"call": "deeds:touch", "with": ["ran"]}})
    ran = prun("pipeline.yaml", "--report", file)
    assert ran.returncode == 2
    assert f'cannot write "{file}": ' in ran.stderr
    assert why in ran.stderr
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / ".prun").exists()


def test_a_report_whose_folder_is_gone_at_the_end_costs_nothing_but_itself(prun, write, tmp_path):
    (tmp_path / "out").mkdir()
    write({"a": {"call": "deeds:remove", "with": ["out"]}, "b": {"call": "deeds:double", "with": [2], "needs": ["a"]}})
    ran = prun("pipeline.yaml", "--report", "out/page.html")
    assert (ran.returncode, ran.stdout) == (0, "a: null\nb: 4\n")
    assert "the report was not written: cannot write" in ran.stderr
    assert "prun report " in ran.stderr


def test_a_dry_run_has_nothing_to_report(prun, write):
    write(CHAIN)
    ran = prun("pipeline.yaml", "-n", "--report", "page.html")
    assert ran.returncode == 2
    assert "prun graph FILE --format html" in ran.stderr


def test_broken_yaml_leaves_the_last_report_as_it_was(prun, tmp_path):
    (tmp_path / "pipeline.yaml").write_text("version: 1\nstages: [\n")
    (tmp_path / "page.html").write_text("of before")
    assert prun("pipeline.yaml", "--report", "page.html").returncode == 2
    assert (tmp_path / "page.html").read_text() == "of before"


@pytest.mark.timeout(120)
def test_the_page_of_a_thousand_stages_is_small_and_folded(prun, tmp_path, page):
    stages = {
        f"s{n}": {"call": "math:sqrt", "with": [-1 if n == 700 else n], "on_error": "finish"}
        | ({"needs": [f"s{n // 2}", f"s{n // 3}"]} if n > 20 else {})
        for n in range(1000)
    }
    (tmp_path / "pipeline.yaml").write_text(json.dumps({"version": 1, "name": "wide", "stages": stages}))
    prun("pipeline.yaml", "-q", "--report", "page.html")
    assert (tmp_path / "page.html").stat().st_size < 1_000_000
    told = page()
    boxes = [kind for kind in told.of("rect", "class") if kind.startswith("box")]
    assert len(boxes) < 120
    assert boxes.count("box failed") == 1
    assert "s700" in told.of("tr", "data-stage")
    assert "600 more stages" in told.said
    assert "Folded: " in told.said


def test_graph_draws_a_page(prun, write, page):
    write(CHAIN)
    drawn = prun("graph", "pipeline.yaml", "--format", "html", "-o", "page.html")
    assert (drawn.returncode, drawn.stdout) == (0, "")
    told = page()
    assert {"a", "b", "bad", "after"} == set(told.of("tr", "data-stage")) == set(told.of("g", "data-stage"))
    assert "one call in a worker process" in told.said
    piped = prun("graph", "pipeline.yaml", "--format", "html", "-o", "/dev/stdout")
    assert Page(piped.stdout).said == told.said


def test_a_run_that_an_older_version_kept_tells_what_was_kept_then(prun, write, page, tmp_path):
    write(CHAIN)
    prun("pipeline.yaml", "-q")
    with closing(sqlite3.connect(tmp_path / ".prun" / "journal.db")) as journal, journal:
        ((body,),) = journal.execute("SELECT body FROM run").fetchall()
        about = json.loads(body)
        shapes = {name: {"gives": one["gives"], "read": one["read"]} for name, one in about["stages"].items()}
        older = {**about, "stages": shapes}
        del older["pipelines"], older["reasons"]
        journal.execute("UPDATE run SET body = ?", (json.dumps(older),))
        journal.execute("UPDATE event SET body = json_remove(body, '$.slowest') WHERE kind = 'StageEnded'")
    assert prun("report", "last", "-o", "page.html").returncode == 0
    told = page()
    assert "It was not kept with this run" in told.said
    assert "The reasons were not kept with this run" in told.said
    assert "on average: 6 calls went together" in told.said


def test_a_run_that_was_made_in_python_says_how_to_go_on_there(python, prun, write, page):
    write({})
    script = (
        "from pipeline_runner import Pipeline, Stage\nimport deeds\n"
        "if __name__ == '__main__':\n"
        "    stages = [Stage('bad', call=deeds.evil, over=[1], on_error='finish')]\n"
        "    Pipeline('made <here>', stages).run(state='.prun', workers=1)\n"
    )
    assert python("-c", script).returncode == 0
    assert prun("report", "last", "-o", "page.html").returncode == 0
    assert "made <here>" in page().said
    assert 'pipeline.replay("' in page().said
    assert "made in Python, in" in page().said


def test_the_slowest_calls_are_told_with_what_is_known_of_them(prun, write, page):
    naps = {"call": "time:sleep", "over": [0, 0, 0.3, 0, 0], "chunk": 1, "returns": "unordered"}
    write({"nap": naps, "one": {"call": "time:sleep", "with": [0.2], "needs": ["nap"]}})
    assert prun("pipeline.yaml", "-q", "-j", "2", "--report", "page.html").returncode == 0
    words = [word.strip() for word in page().text if word.strip()]
    at = words.index("known")
    assert words[at + 1 : at + 3] == ["nap", "2"]
    assert words[at + 4] == "by itself"
    assert words[at + 5 : at + 7] == ["one", "0"]
