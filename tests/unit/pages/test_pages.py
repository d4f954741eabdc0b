"""Pages in parts: what is folded, where a page may go, and the slowest chunks that it tells of."""

from __future__ import annotations

import os
import re
import shutil
import threading
from xml.etree import ElementTree

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_runner.engine.slowest import MOST as MOST_SLOW
from pipeline_runner.engine.slowest import Slowest
from pipeline_runner.errors import UsageError
from pipeline_runner.pages.account import StageTold
from pipeline_runner.pages.folding import COLUMNS, MOST, folded
from pipeline_runner.pages.target import Target
from pipeline_runner.pages.timeline import _crowd, _moment, _Scale, _step
from pipeline_runner.plan.plan import Edge, EdgeKind
from pipeline_runner.plan.svg import Drawing, Shown, picture
from pipeline_runner.state import StageState

TONES = ("done", "failed", "skipped")


def edge(source, target):
    return Edge(f"s{source}", f"s{target}", EdgeKind.BARRIER, "")


@st.composite
def drawings(draw):
    """Any graph: of `sizes` stages, each of which waits for some before it."""
    size = draw(st.integers(1, 3 * MOST))
    random = draw(st.randoms(use_true_random=False))
    reach = draw(st.sampled_from([1, 3, 50, size]))
    stages = {f"s{n}": Shown("", f"s{n}", random.choice(TONES)) for n in range(size)}
    edges = [edge(m, n) for n in range(1, size) for m in {random.randrange(max(0, n - reach), n) for _ in range(2)}]
    return Drawing("any", stages, tuple(edges))


@settings(max_examples=30, deadline=None)
@given(drawings())
def test_a_folded_graph_has_every_stage_once_and_can_be_drawn(drawing):
    small = folded(drawing)
    if len(drawing.stages) <= MOST:
        assert small is drawing
        return
    assert len(small.stages) <= max(MOST, COLUMNS * len(TONES))
    counted = {
        name: 1 if shown.about == name else int(re.match(r"\d+", shown.below)[0])
        for name, shown in small.stages.items()
    }
    assert sum(counted.values()) == len(drawing.stages)
    graph = nx.DiGraph([(one.source, one.target) for one in small.edges])
    assert nx.is_directed_acyclic_graph(graph)
    assert set(graph) <= set(small.stages)
    ElementTree.fromstring(picture(small))


def test_a_box_of_one_stage_keeps_its_name():
    stages = {f"s{n}": Shown("", "", "failed" if n == 7 else "done") for n in range(200)}
    small = folded(Drawing("wide", stages, ()))
    assert set(small.stages) == {"s7", "s0 and 198 more"}
    assert small.stages["s0 and 198 more"].below == "199 stages done"


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0.001, 100)), min_size=1, max_size=60))
def test_the_slowest_chunks_are_those_that_took_most_for_each_call(chunks):
    slowest = Slowest()
    first, all_of_them = 0, []
    for calls, took_s in chunks:
        slowest.learn(range(first, first + calls), calls, took_s)
        all_of_them.append(took_s / calls)
        first += calls
    told = [each_s for _, _, each_s in slowest.told()]
    assert told == sorted(all_of_them, reverse=True)[:MOST_SLOW]


def test_a_chunk_of_which_no_call_ended_counts_as_one():
    slowest = Slowest()
    slowest.learn(range(3, 5), 0, 1.0)
    assert slowest.told() == ((3, 0, 1.0),)


def test_a_page_is_there_whole_or_not_at_all(tmp_path):
    target = Target(str(tmp_path / "page.html"))
    assert list(tmp_path.iterdir()) == []
    target.write("whole \ud800")
    assert (tmp_path / "page.html").read_bytes() == b"whole \\ud800"
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    Target(str(tmp_path / "link.html")).write("new")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text() == "new"


def test_a_page_goes_where_it_was_meant_to_whatever_becomes_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = Target("page.html")
    monkeypatch.chdir("/")
    target.write("here")
    assert (tmp_path / "page.html").read_text() == "here"


@pytest.mark.timeout(20)
def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    Target(str(pipe)).write("through")
    reader.join()
    assert heard == ["through"]
    assert pipe.is_fifo()


def test_where_a_page_cannot_be_is_told_at_once_and_at_the_end(tmp_path):
    for wrong in (tmp_path, tmp_path / "nowhere" / "page.html", ""):
        with pytest.raises(UsageError, match=r"^cannot write "):
            Target(str(wrong))
    folder = tmp_path / "gone"
    folder.mkdir()
    target = Target(str(folder / "page.html"))
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match=r"No such file or directory$"):
        target.write("late")


@given(st.floats(0.001, 1e8))
def test_a_timeline_has_a_handful_of_ticks_at_round_moments(span_s):
    step = _step(span_s)
    assert 1 <= span_s / step <= 12
    assert _moment(step) not in ("", "0 s")


def test_the_curve_of_the_others_tells_how_many_were_at_work_at_once():
    def stage(began_s, ended_s):
        return StageTold("s", "done", StageState(), began_s, ended_s, None, 0, "")

    assert "3 other stages, 2 at once at most" in _crowd([stage(0, 4), stage(1, 2), stage(6, 10)], 0, _Scale(10.0))
