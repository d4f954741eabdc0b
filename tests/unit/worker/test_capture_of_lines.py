"""What calls print, as whole lines with the place of their call."""

from __future__ import annotations

import sys

import pytest

from pipeline_runner.calls import Ticket
from pipeline_runner.worker import capture

TICKET = Ticket("@", 0, 0, 0, 1, 0.0, False, 2)


class Link:
    def __init__(self, process=True):
        self.process = process
        self.lines = []

    def said(self, ticket, lines):
        assert ticket is TICKET
        self.lines += lines


@pytest.fixture
def link():
    before = sys.stdout, sys.stderr
    yield Link()
    sys.stdout, sys.stderr = before


def test_lines_are_told_with_their_call_and_stream(link):
    with capture.calls(link, TICKET):
        capture.position = 0
        print("one")
        print("two", file=sys.stderr)
        capture.position = 1
        print("three\nfour")
    assert link.lines == [(0, "stdout", "one"), (0, "stderr", "two"), (1, "stdout", "three"), (1, "stdout", "four")]


def test_a_line_is_whole_however_it_was_written(link):
    with capture.calls(link, TICKET):
        for piece in ("a", "b", "", "c\nd"):
            sys.stdout.write(piece)
        sys.stdout.buffer.write("ä\n".encode()[:1])
        sys.stdout.buffer.write("ä\n".encode()[1:])
    assert link.lines == [(None, "stdout", "abc"), (None, "stdout", "dä")]


def test_a_line_that_was_begun_ends_with_its_chunk(link):
    with capture.calls(link, TICKET):
        print("no end", end="")
    assert link.lines == [(None, "stdout", "no end")]


def test_it_is_all_that_people_use_of_stdout(link):
    with capture.calls(link, TICKET):
        assert sys.stdout.encoding == "utf-8"
        assert not sys.stdout.isatty()
        assert (sys.stdout.fileno(), sys.stderr.fileno()) == (1, 2)
        sys.stdout.reconfigure(line_buffering=True)
        sys.stdout.writelines(["x\n", "\udcff\n"])
        sys.stdout.flush()
    assert link.lines == [(None, "stdout", "x"), (None, "stdout", "\\udcff")]


def test_a_call_that_puts_its_own_stdout_there_has_it_for_its_chunk_only(link):
    import io

    with capture.calls(link, TICKET):
        sys.stdout = io.StringIO()
        print("away")
    with capture.calls(link, TICKET):
        print("back")
    assert link.lines == [(None, "stdout", "back")]


def test_nothing_is_taken_in_the_runners_own_process(capsys):
    link = Link(process=False)
    with capture.calls(link, TICKET):
        print("ours")
    assert link.lines == []
    assert capsys.readouterr().out == "ours\n"
