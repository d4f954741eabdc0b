from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from pipeline_runner.spec.pipeline import (
    Batches,
    Csv,
    FromStage,
    Generate,
    Given,
    Glob,
    Items,
    Jsonl,
    Lines,
    Matrix,
    Range,
    Zip,
)
from pipeline_runner.spec.sources import SourceError, is_open, items, size
from pipeline_runner.syntax.expressions import Reference


def all_of(source, folder=Path()):
    return list(items(source, folder))


def test_lists_and_ranges_know_their_size():
    assert all_of(Items([1, 2])) == [1, 2]
    assert all_of(Range(5, 0, -2)) == [5, 3, 1]
    assert size(Items([1, 2]), Path()) == 2
    assert size(Range(5, 0, -2), Path()) == 3
    assert size(Items(iter([1])), Path()) is None


def test_a_glob_is_sorted_and_stays_as_it_was_written(tmp_path):
    for name in ("b.txt", "a.txt", "sub/c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert all_of(Glob("*.txt"), tmp_path) == ["a.txt", "b.txt"]
    assert all_of(Glob("**/*.txt"), tmp_path) == ["a.txt", "b.txt", "sub/c.txt"]
    assert all_of(Glob(f"{tmp_path}/sub/*"), Path("/")) == [f"{tmp_path}/sub/c.txt"]
    assert size(Glob("*.txt"), tmp_path) == 2


def test_lines_are_read_without_their_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone\r\ntwo\x85\u2028still two\n\nlast".encode())
    assert all_of(Lines("a.txt"), tmp_path) == ["one", "two\x85\u2028still two", "", "last"]


def test_rows_of_a_csv_are_mappings(tmp_path):
    (tmp_path / "a.csv").write_text('\ufeffname,n\n"a, b",1\n\n"two\nlines",2\n', encoding="utf-8")
    assert all_of(Csv("a.csv"), tmp_path) == [{"name": "a, b", "n": "1"}, {"name": "two\nlines", "n": "2"}]
    (tmp_path / "empty.csv").write_text("")
    assert all_of(Csv("empty.csv"), tmp_path) == []


def test_json_lines_are_values(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n[2]\n')
    assert all_of(Jsonl("a.jsonl"), tmp_path) == [{"a": 1}, [2]]


@pytest.mark.parametrize(
    ("source", "content", "line", "why"),
    [
        (Lines("f"), b"ok\n\xff\n", 2, "not UTF-8"),
        (Jsonl("f"), b'{"a": 1}\n{"a":\n', 2, "not JSON"),
        (Jsonl("f"), b"[" * 100_000, 1, "not JSON"),
        (Csv("f"), b"a,b\n1,2\n3\n", 3, "1 values for 2 columns"),
        (Csv("f"), b"a,b\n1,2\n\xff,2\n", 3, "not UTF-8"),
        (Csv("f"), b"a,a\n1,2\n", 1, "there twice"),
    ],
)
def test_a_bad_line_is_named(source, content, line, why, tmp_path):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SourceError, match=why) as caught:
        all_of(source, tmp_path)
    assert (caught.value.path, caught.value.line) == ("f", line)


@pytest.mark.parametrize("source", [Lines("no/such"), Csv("no/such"), Jsonl("no/such")])
def test_a_missing_file_is_named(source, tmp_path):
    with pytest.raises(SourceError, match="no/such: there is no such file in"):
        all_of(source, tmp_path)


def test_items_before_a_bad_line_are_given(tmp_path):
    (tmp_path / "f").write_text("1\n2\n{\n")
    opened = items(Jsonl("f"), tmp_path)
    assert [next(opened), next(opened)] == [1, 2]


def test_a_generator_is_drawn_from_lazily():
    drawn = []

    def count(start):
        while True:
            drawn.append(start)
            yield start
            start += 1

    assert all_of(Generate(Given(count), {"start": 5}, 3)) == [5, 6, 7]
    assert list(islice(items(Generate(Given(count), {"start": 1}), Path()), 2)) == [1, 2]
    assert len(drawn) == 5


def test_a_generator_that_gives_nothing_to_draw_from_is_named():
    with pytest.raises(SourceError, match="gave an int"):
        all_of(Generate(Given(lambda: 3)))


LONG = Matrix({"a": Range(0, 10**6), "b": Range(0, 10**6)})


@pytest.mark.parametrize(
    ("source", "number"),
    [
        (Matrix({"a": Items([1, 2]), "b": Range(0, 3)}), 6),
        (LONG, 10**12),
        (Matrix({"a": LONG, "b": Items([])}), 0),
        (Batches(LONG, 10**6), 10**6),
        (Matrix({"a": Range(0, 9)}, [{"a": 9}], [{"a": 0}]), 9),
        (Matrix({}, [{"a": 9}]), 1),
        (Matrix({}), 0),
        (Matrix({"a": LONG}, [{"b": 9}]), None),
        (Matrix({"a": LONG, "b": Items([])}, [{"b": 9}]), None),
        (Matrix({"a": Generate(Given(int), take=3)}), None),
    ],
)
def test_how_many_combinations_there_are_is_known_at_once_or_not_at_all(source, number):
    assert size(source, Path()) == number


def test_only_sources_that_need_no_stage_can_be_opened():
    assert is_open(Range(0, 1))
    assert not is_open(FromStage(Reference("stages", ("a",))))
    assert not is_open(Zip(()))
    assert not is_open(None)
