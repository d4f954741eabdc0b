"""What counts as a difference between the table and this machine."""

from dataclasses import replace

from pipeline_runner.backends import table
from pipeline_runner.survey.measure import Measured, differences

IMAP = table().methods["multiprocessing.Pool.imap"]
AS_CLAIMED = Measured(
    method=IMAP.name,
    blocks=False,
    overlaps=True,
    refills=True,
    lazy=True,
    ordered=True,
    on_raise="raised",
    on_death="waits for ever",
)


def test_a_row_that_does_what_it_claims_differs_in_nothing():
    assert differences(IMAP, AS_CLAIMED) == []


def test_what_could_not_be_found_out_differs_in_nothing():
    assert differences(IMAP, Measured(method=IMAP.name)) == []


def test_another_fact_and_another_fate_are_told_with_both_words():
    found = replace(AS_CLAIMED, ordered=False, on_death="BrokenProcessPool")

    assert [str(gap) for gap in differences(IMAP, found)] == [
        "multiprocessing.Pool.imap: in call order is no here, yes in the table",
        (
            "multiprocessing.Pool.imap: a death is BrokenProcessPool here, "
            "waits for ever; the pool starts another worker in the table"
        ),
    ]


def test_a_parallel_row_that_never_overlaps_is_blocking_here():
    assert replace(AS_CLAIMED, overlaps=False).dispatch == "blocking"
