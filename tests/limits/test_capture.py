"""What calls write is told as whole lines of their own, whatever wrote it and however the call ended."""

import json
import os
from collections import defaultdict
from pathlib import Path
from time import monotonic

import pytest

from pipeline_runner import Pipeline
from pipeline_runner.events import Printed

pytestmark = pytest.mark.timeout(60)

BACKENDS = ["multiprocessing", "multiprocess", "futures", "process", "pathos", "parallel", "ppft"]
WAYS = [("multiprocessing", way) for way in ("fork", "forkserver", "spawn")]


def said(ran, stream=None):
    lines = defaultdict(list)
    for event in ran.of(Printed):
        if stream in (None, event.stream):
            lines[event.index].append(event.line)
    return lines


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_way_of_writing_is_told_with_its_call_and_stream(run, backend):
    ran = run({"talk": {"call": "limit_deeds:talk", "over": [0, 1, 2], "backend": backend}})

    out, err = said(ran, "stdout"), said(ran, "stderr")
    for x in range(3):
        assert out[x] == [
            f"print {x}", f"os.write {x}", f"printf {x}", f"child {x}", f"bytes {x}", f"without newline {x}"
        ]  # fmt: skip
        assert f"WARNING:root:logging {x}" in err[x]
        assert any(line.endswith(f"UserWarning: warnings {x}") for line in err[x])
        assert err[x][-2:] == [f"os.write to stderr {x}", f"child to stderr {x}"]
    assert set(out) | set(err) == {0, 1, 2}


@pytest.mark.parametrize(("backend", "way"), WAYS)
def test_it_is_told_under_every_start_method(run, backend, way):
    stage = {"call": "limit_deeds:last_words", "over": [0, 1], "backend": backend, "start_method": way}
    assert said(run({"talk": stage})) == {0: ["print 0", "compiled 0"], 1: ["print 1", "compiled 1"]}


def test_a_line_of_compiled_code_is_written_in_one_piece_that_no_child_can_tear(run):
    assert run({"print": {"call": "limit_deeds:pieces_of_printf", "over": [0]}})["print"] == [
        ["line 0\n", "line 1\n", "line 2\n"]
    ]


def test_lines_of_tiny_calls_in_one_chunk_are_told_each_with_its_own(run):
    ran = run({"write": {"call": "limit_deeds:one_write", "over": {"range": 2000}, "chunk": 500}})
    assert said(ran) == {x: [str(x)] for x in range(2000)}


def test_a_line_that_was_begun_ends_with_its_call(run):
    ran = run({"half": {"call": "limit_deeds:half_line", "over": {"range": 200}, "chunk": 100}})
    assert said(ran) == {x: [f"half {x}"] for x in range(200)}


def test_what_is_read_of_a_call_that_goes_on_is_not_taken_for_what_its_setup_wrote(tmp_path):
    heard = tmp_path / "heard"
    os.mkfifo(heard)
    lines = []

    def listen(event):
        if isinstance(event, Printed):
            lines.append((event.index, event.line))
            if event.line == "line":
                heard.write_text("")

    call = {"call": "limit_deeds:half_a_line_until", "over": [1], "with": {"heard": str(heard)}}
    text = json.dumps({"version": 1, "stages": {"s": {**call, "setup": "limit_deeds:speak_first"}}})
    Pipeline.from_text(text, folder=Path(__file__).parent).run(on_event=listen)
    assert lines == [(None, "set up"), (0, "line"), (0, "half a line")]


def test_no_line_is_torn_or_lost_or_told_of_another_call(run):
    ran = run({"many": {"call": "limit_deeds:many_lines", "over": {"range": 20}}}, workers=4)
    tail = "abcdefghijklmnopqrstuvwxyz" * 2
    assert said(ran) == {x: [f"{x} {number} {tail}" for number in range(1000)] for x in range(20)}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_worker_wrote_just_before_it_died_is_told(run, backend):
    ran = run({"die": {"call": "limit_deeds:last_words", "over": [1, 2, 3], "backend": backend, "on_error": "skip"}})
    (failed,) = ran.result.failures
    assert failed.argument == "2"
    assert failed.said == ("print 2", "compiled 2")


def test_a_failed_call_has_its_last_twenty_lines(run):
    ran = run({"fail": {"call": "limit_deeds:fails_after_talking", "over": [1], "on_error": "skip"}})
    assert ran.result.failures[0].said == tuple(f"line {number}" for number in range(10, 30))


def test_a_flood_is_cut_short_with_a_note_and_the_others_go_on(run):
    began = monotonic()
    ran = run({"flood": {"call": "limit_deeds:flood", "over": {"range": 200}}})
    took_s = monotonic() - began

    lines = said(ran)[0]
    assert ran["flood"] == list(range(200))
    assert sum(map(len, lines)) < 1_100_000
    assert any(line.startswith("… 9") and line.endswith("bytes of stdout left out …") for line in lines)
    assert lines[-1] == "the end"
    assert set(lines[0]) == {"y"}
    assert took_s < 20


def test_a_call_that_reads_stdin_finds_its_end(run):
    assert run({"read": {"call": "limit_deeds:read_stdin", "over": [1, 2]}})["read"] == ["", ""]
