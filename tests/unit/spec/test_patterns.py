"""Which paths a pattern finds."""

from __future__ import annotations

import pytest

from pipeline_runner.spec.patterns import matching


@pytest.fixture
def tree(tmp_path):
    """a/1.csv, a/b/2.csv, a hidden folder, links in circles, and a link to a folder elsewhere."""
    (tmp_path / "in/a/b").mkdir(parents=True)
    (tmp_path / "in/.hidden").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for path in ("in/0.csv", "in/a/1.csv", "in/a/b/2.csv", "in/.hidden/h.csv", "elsewhere/3.csv"):
        (tmp_path / path).touch()
    (tmp_path / "in/a/up").symlink_to("..")
    (tmp_path / "in/a/up2").symlink_to("..")
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/a/l.csv").symlink_to(tmp_path / "in/0.csv")
    return tmp_path / "in"


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("**/*.csv", ["0.csv", "a/1.csv", "a/b/2.csv", "a/l.csv"]),
        ("**/**/*.csv", ["0.csv", "a/1.csv", "a/b/2.csv", "a/l.csv"]),
        ("a/**/*.csv", ["a/1.csv", "a/b/2.csv", "a/l.csv"]),
        ("**/b/**/*.csv", ["a/b/2.csv"]),
        ("*/**/2.*", ["a/b/2.csv"]),
        ("link/**/*.csv", ["link/3.csv"]),
        ("*/*.csv", ["a/1.csv", "a/l.csv", "link/3.csv"]),
        ("a/b/**", ["a/b/", "a/b/2.csv"]),
        ("**", ["0.csv", "a", "a/1.csv", "a/b", "a/b/2.csv", "a/l.csv", "a/up", "a/up2", "link"]),
        ("**/", ["a/", "a/b/"]),
        ("nowhere/**/*.csv", []),
        ("0.csv/**", []),
    ],
)
def test_two_stars_follow_no_link_to_a_folder_and_what_is_named_is_followed(tree, pattern, paths):
    assert matching(pattern, tree) == paths


@pytest.mark.timeout(10)
def test_an_absolute_pattern_gives_absolute_paths(tree):
    assert matching(f"{tree}/**/2.csv", tree / "a") == [f"{tree}/a/b/2.csv"]


@pytest.mark.timeout(10)
def test_a_folder_with_signs_of_a_pattern_in_its_name_is_looked_into(tmp_path):
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "a[1]/x.csv").touch()
    assert matching("**/*.csv", tmp_path) == ["a[1]/x.csv"]
