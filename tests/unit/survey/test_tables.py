"""The three tables as text and Markdown."""

from pipeline_runner.survey.tables import Grid, as_markdown, as_text

GRID = Grid("Two", ("name", "what it says"), (("a", "short"), ("b", "a cell with many words that is far too wide")))


def test_a_cell_that_is_too_wide_goes_on_in_the_next_line():
    assert as_text(GRID, width=34).splitlines() == [
        "Two",
        "",
        "name  what it says",
        "----  --------------------------",
        "a     short",
        "b     a cell with many words",
        "      that is far too wide",
    ]


def test_a_bar_in_a_cell_does_not_end_it_in_markdown():
    assert as_markdown(Grid("T", ("a",), (("x|y",),))).endswith("| a |\n| --- |\n| x\\|y |")
