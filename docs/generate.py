"""Writes the parts of the documents that are made from the code; with `--check` only tells which are stale."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from pipeline_runner.backends import table
from pipeline_runner.cli.app import COMMANDS, build
from pipeline_runner.syntax.reader import plain, read

ROOT = Path(__file__).resolve().parent.parent
PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> int:
    """Write every part, or with --check only name the pages that would change; 1 when there are any."""
    stale = []
    for page in sorted((ROOT / "README.md", *ROOT.glob("docs/**/*.md"))):
        text = page.read_text("utf-8")
        fresh = PART.sub(lambda found: f"{found[1]}\n{PARTS[found['name']]()}\n\n{found[3]}", text)
        if fresh != text:
            stale.append(page.relative_to(ROOT))
            if "--check" not in sys.argv:
                page.write_text(fresh, "utf-8")
    for page in stale:
        print(f"{page} {'is stale: run python docs/generate.py' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


def methods() -> str:
    """The survey's three tables as `prun methods --markdown` prints them."""
    command = [sys.executable, "-m", "pipeline_runner", "methods", "--markdown"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def overview() -> str:
    """A line for each method, with what one chooses by."""
    lines = ["| method | dispatch | args | returns | takes calls as they come |", "| --- | --- | --- | --- | --- |"]
    for method in table():
        lazy = "yes" if method.lazy else "no"
        lines.append(f"| `{method.name}` | {method.dispatch} | {method.style} | {method.returns} | {lazy} |")
    return "\n".join(lines)


def notes() -> str:
    """The methods that have something to be warned of."""
    return "\n".join(f"- `{method.name}`: {method.note}" for method in table() if method.note)


def keys(model: str) -> Callable[[], str]:
    """A table of the keys of one model of the language."""

    def part() -> str:
        return "\n".join(["| key | takes | meaning | example |", "| --- | --- | --- | --- |", *rows(model)])

    return part


def rows(model: str) -> Iterator[str]:
    schema = json.loads((ROOT / "schemas" / "pipeline.schema.json").read_text("utf-8"))
    described = schema["$defs"][model] if model else schema
    required = described.get("required", ())
    read_ = read((ROOT / "docs" / "reference" / "examples.yaml").read_text("utf-8"), "examples.yaml")
    examples = plain(read_.root)[{"": "top level", "Stage": "stage", "Retry": "retry"}[model]] if read_.root else {}
    for key, value in sorted(described["properties"].items(), key=lambda pair: pair[0] not in required):
        meaning = " ".join(value.get("description", "").split())
        example = examples.get(key)
        shown = f"`{cell(example)}`" if example else ""
        yield f"| `{key}` | {cell(takes(value, schema['$defs']))} | {cell(meaning)} | {shown} |"


WORDS = {"object": "mapping", "array": "list", "string": "text", "boolean": "true or false", "integer": "whole number"}
NAMED = {"Over": "see below", "Retry": "mapping", "StageKeys": "stage keys", "Reference": ""}


def takes(value: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """What a key takes, in a few words. That a reference may stand anywhere goes without saying."""
    match value:
        case {"const": word}:
            return f"`{word}`"
        case {"enum": words}:
            return " ".join(f"`{word}`" for word in words) if len(words) < 15 else "a name of the table"
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return NAMED[name] if name in NAMED else takes(named[name], named)
        case {"anyOf": kinds}:
            return either(takes(kind, named) for kind in kinds)
        case {"type": list() as kinds}:
            return either(WORDS.get(kind, kind) for kind in kinds)
        case {"type": kind}:
            return WORDS.get(kind, kind)
    return ""


def either(kinds: Iterable[str]) -> str:
    return " or ".join(kind for kind in dict.fromkeys(kinds) if kind not in ("", "null"))


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def commands() -> str:
    """Every command with its arguments and options."""
    group = typer.main.get_command(build(COMMANDS))
    parts = []
    for name, known in group.commands.items():
        lines = [f"## `prun {name}`", "", (known.help or "").strip(), "", "| argument | meaning |", "| --- | --- |"]
        for parameter in known.params:
            words = " ".join(f"`{word}`" for word in (*parameter.opts, *parameter.secondary_opts))
            lines.append(f"| {words} | {cell(' '.join((getattr(parameter, 'help', None) or '').split()))} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


PARTS: Mapping[str, Callable[[], str]] = {
    "methods": methods,
    "overview": overview,
    "notes": notes,
    "top-level": keys(""),
    "stage": keys("Stage"),
    "retry": keys("Retry"),
    "commands": commands,
}


if __name__ == "__main__":
    sys.exit(main())
