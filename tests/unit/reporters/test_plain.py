"""What users' code says is shown, and does nothing to the terminal."""

from __future__ import annotations

import pytest

from pipeline_runner.reporters.plain import line_of, plain
from pipeline_runner.reporters.values import shown
from pipeline_runner.running import as_json


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("text, 日本語, 😀 and \t tab\nnewline", "text, 日本語, 😀 and \t tab\nnewline"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;a title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b[2J\x1b[1;1Hcleared", "cleared"),
        ("\x1bcreset \x1b(Bcharset", "reset charset"),
        ("bell\x07 nul\x00 alone\x1b", "bell\\x07 nul\\x00 alone\\x1b"),
        ("half \ud800", "half \\ud800"),
        ("turned \u202e around", "turned \\u202e around"),
    ],
)
def test_what_a_terminal_would_obey_is_left_out_or_escaped(said, told):
    assert plain(said) == told
    plain(said).encode()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("\r0%\r50%\r100%", "100%"),
        ("0%\r100%\r", "100%"),
        ("\x1b[31mred\x1b[0m and \x1b[2Jnot", "\x1b[31mred\x1b[0m and not"),
        ("\r", ""),
        ("plain", "plain"),
    ],
)
def test_of_a_captured_line_the_last_state_and_the_colours_stay(said, told):
    assert line_of(said) == told


class Shy:
    def __repr__(self):
        raise RuntimeError("no")


def test_a_value_whose_repr_raises_is_told_all_the_same():
    told = "(cannot be shown: RuntimeError in the repr of list, or of what is in it)"
    assert shown("a", [Shy()]) == f"a: {told}"
    assert as_json([Shy()]) == told


def test_a_value_that_no_terminal_can_say_is_shown_with_escapes():
    assert shown("a", "\ud800") == 'a: "\\ud800"'
