"""A census of the words in Python sources: plain functions that know nothing of pipelines."""

from __future__ import annotations

import re
import sysconfig
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

WORD = re.compile(r"[A-Za-z]{2,}")
NAME = re.compile(r"\b[A-Za-z][A-Za-z_]*[A-Za-z]\b")
APART = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def source_files(folder: str = "") -> list[str]:
    """The .py files under a folder, without tests and installed packages; no folder: the standard library's."""
    root = Path(folder or sysconfig.get_path("stdlib"))
    return sorted(
        str(path) for path in root.rglob("*.py") if APART.isdisjoint(path.relative_to(root).parts) and path.is_file()
    )


def read(path: str) -> dict[str, str]:
    """A file's text with the package that it belongs to: its folder, or its own name."""
    file = Path(path)
    root = Path(sysconfig.get_path("stdlib"))
    inside = file.relative_to(root) if file.is_relative_to(root) else Path(file.name)
    return {"package": inside.parts[0].removesuffix(".py"), "text": file.read_text("utf-8", errors="replace")}


def count(source: Mapping[str, str]) -> dict[str, Any]:
    """The words of one text, how many lines it has, and its longest names."""
    text = source["text"]
    return {
        "package": source["package"],
        "lines": text.count("\n"),
        "words": Counter(word.lower() for word in WORD.findall(text)),
        "longest": longest(NAME.findall(text), 5),
    }


def longest(names: Iterable[str], number: int) -> list[str]:
    """The longest of these names, longest first, each once."""
    return sorted(set(names), key=lambda name: (-len(name), name))[:number]


def total(counts: Sequence[Mapping[str, Any]], top: int) -> dict[str, Any]:
    """All counts together. In whichever order they come, the answer is the same."""
    words: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for one in counts:
        words.update(one["words"])
        lines[one["package"]] += one["lines"]
    return {
        "files": len(counts),
        "lines": lines.total(),
        "words": words.total(),
        "different_words": len(words),
        "top_words": largest(words, top),
        "lines_by_package": largest(lines, top),
        "longest_names": longest((name for one in counts for name in one["longest"]), 3),
    }


def largest(counter: Counter[str], number: int) -> list[list[Any]]:
    """The largest entries, ties by name."""
    return [list(pair) for pair in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:number]]


def page(census: Mapping[str, Any]) -> str:
    """The census for people: two charts and the longest names."""
    return "\n".join(
        [
            f"{census['words']:,} words ({census['different_words']:,} different)"
            f" in {census['lines']:,} lines of {census['files']:,} files",
            "",
            "most frequent words",
            *bars(census["top_words"]),
            "",
            "lines by package",
            *bars(census["lines_by_package"]),
            "",
            "longest names",
            *(f"  {name}" for name in census["longest_names"]),
        ]
    )


def bars(pairs: Sequence[Sequence[Any]], width: int = 40) -> list[str]:
    """A line for each pair, with a bar as long as its number is large."""
    most = max((number for _, number in pairs), default=1)
    return [f"  {name:<16}{number:>9,}  {'█' * max(1, round(width * number / most))}" for name, number in pairs]


def expected() -> dict[str, Any]:
    """What the pipeline must give, computed by a loop: the standard library differs from Python to Python."""
    answer = total([count(read(path)) for path in source_files()], top=12)
    return {"total": answer, "page": page(answer)}
