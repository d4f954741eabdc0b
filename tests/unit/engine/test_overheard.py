"""The reader of what a worker writes, with files that the test writes to."""

import os

import pytest

from pipeline_runner.engine.overheard import CAP, LINES, Overheard


@pytest.fixture
def wrote():
    """Write to the files of a worker; `heard` reads them."""

    class Wrote:
        def __init__(self):
            self.files = (os.memfd_create("out"), os.memfd_create("err"))
            self.heard = Overheard(*self.files)

        def __call__(self, out=b"", err=b""):
            for file, data in zip(self.files, (out, err), strict=True):
                os.lseek(file, 0, os.SEEK_END)
                os.write(file, data)
            return self.heard.sizes()

    wrote = Wrote()
    yield wrote
    wrote.heard.close()


def test_each_mark_is_told_with_its_call(wrote):
    first = wrote(b"one\n", b"two\n")
    second = wrote(b"three\n")
    assert wrote.heard.up_to((0, *first)) == [(0, "stdout", "one"), (0, "stderr", "two")]
    assert wrote.heard.up_to((1, *second)) == [(1, "stdout", "three")]


def test_half_a_line_waits_for_its_end_or_for_the_end_of_the_call(wrote):
    wrote(b"one\nha")
    assert wrote.heard.so_far(0, wrote.heard.sizes()) == [(0, "stdout", "one")]
    ends = wrote(b"lf\nrest")
    assert wrote.heard.up_to((0, *ends)) == [(0, "stdout", "half"), (0, "stdout", "rest")]


def test_what_is_no_text_is_told_all_the_same(wrote):
    assert wrote.heard.up_to((0, *wrote(b"\xff\r\n"))) == [(0, "stdout", "\\xff")]


def test_more_than_the_cap_is_left_out_with_a_note_and_the_end_is_told(wrote):
    line = b"x" * 99 + b"\n"
    ends = wrote(line * (3 * CAP // 100) + b"the end\n")
    lines = [text for _, _, text in wrote.heard.up_to((0, *ends))]
    assert lines[-1] == "the end"
    (note,) = [text for text in lines if text.endswith("bytes of stdout left out …")]
    told = sum(len(text) + 1 for text in lines if text is not note)
    left_out = int(note.split()[1].replace(",", ""))
    assert told + left_out == pytest.approx(ends[0], abs=2)
    assert told < CAP + 5000


def test_very_many_short_lines_are_cut_too_and_the_next_call_is_told_in_full(wrote):
    ends = wrote(b"y\n" * (LINES + 5000))
    lines = wrote.heard.up_to((0, *ends))
    assert LINES < len(lines) < LINES + 3000
    assert wrote.heard.up_to((1, *wrote(b"next\n"))) == [(1, "stdout", "next")]


def test_the_memory_of_a_flood_is_given_back_while_the_call_goes_on(wrote):
    for _ in range(8):
        wrote(b"z" * CAP)
        wrote.heard.so_far(0, wrote.heard.sizes())
    assert os.fstat(wrote.files[0]).st_blocks * 512 < 3 * CAP
