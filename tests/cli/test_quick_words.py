"""The quick way to read a command line means what typer means, or leaves the words to typer."""

from __future__ import annotations

import pytest
import typer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline_runner.cli.app import build
from pipeline_runner.cli.quick import FLAGS, LISTS, NUMBERS, VALUES, plain_run

RUN = typer.main.get_command(build(["run"])).commands["run"]
OPTIONS = {name: option for option in RUN.params for name in option.opts if name.startswith("-")}

NAMES = sorted(OPTIONS)
words = st.one_of(
    st.sampled_from([*NAMES, "-h", "--help", "--", "-", "", "--nothing", "-x", "--stat", "-kq", "-j4", "-px=1", "-j", "-p"]),
    st.sampled_from(["pipeline.yaml", "stage", "1", "0", "-1", "007", "٣", "1_0", " 2", "a=b", "last", "all", "--json=1"]),
    st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(["", "1", "x=y", "0", "-k"])),
)  # fmt: skip


def by_typer(line):
    """What typer reads, without what was not said; None: it refuses, or does something else than run."""
    try:
        said = RUN.make_context("run", list(line), resilient_parsing=False).params
    except (Exception, SystemExit):
        return None
    return {name: value for name, value in said.items() if value not in (None, False, [], ())}


@settings(deadline=None, max_examples=600)
@given(st.lists(words, max_size=6))
@example(["pipeline.yaml", "-p", "-k", "--state", "--json"])
@example(["--until", "a", "pipeline.yaml", "--until=b"])
@example(["-j", "2", "-j3", "f"])
def test_words_that_are_read_quickly_mean_what_typer_says(line):
    quick = plain_run(line)
    if quick is not None:
        assert {name: value for name, value in quick.items() if value != []} == by_typer(line)


@pytest.mark.parametrize(
    "line",
    [
        [],
        ["pipeline.yaml"],
        ["pipeline.yaml", "one", "two"],
        ["-q", "pipeline.yaml", "-j", "2", "-k", "-p", "a=1", "-p", "b=2"],
        ["pipeline.yaml", "-j2", "-pa=1", "--state=x", "--state", "y", "--json", "--show", "all"],
        ["pipeline.yaml", "--from", "a", "--only", "b", "--until", "c", "--sample", "3", "--resume=last"],
    ],
)
def test_usual_lines_are_read_quickly(line):
    assert plain_run(line) is not None


@pytest.mark.parametrize(
    "line", [["--help"], ["f", "-h"], ["f", "-j"], ["f", "-j", "0"], ["f", "--nothing"], ["f", "-kq"]]
)
def test_help_mistakes_and_rarities_are_left_to_typer(line):
    assert plain_run(line) is None


def test_the_table_has_every_option_of_a_run_under_its_name():
    table = {**FLAGS, **VALUES, **NUMBERS, **LISTS}
    assert table == {name: option.name for name, option in OPTIONS.items()}
    assert {name for name in OPTIONS if OPTIONS[name].is_flag} == set(FLAGS)
    assert {name for name in OPTIONS if OPTIONS[name].multiple} == set(LISTS)
