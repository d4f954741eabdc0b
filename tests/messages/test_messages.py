"""What users read when a file is wrong, whole: NAME.yaml is broken, and NAME.txt is what `prun validate` says.

`PRUN_ACCEPT=1 pytest tests/messages` writes the texts anew; the diff is then what is reviewed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline_runner.cli.checking import as_text, findings

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_gets_its_message(file, monkeypatch):
    monkeypatch.chdir(HERE)
    said = as_text({file.name: findings(file.name)}) + "\n"
    golden = file.with_suffix(".txt")
    if os.environ.get("PRUN_ACCEPT"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def test_every_message_tells_of_a_problem():
    assert len(FILES) >= 40
    assert [file.name for file in FILES if file.with_suffix(".txt").read_text().endswith(": ok\n")] == []
    assert {file.stem for file in HERE.glob("*.txt")} == {file.stem for file in FILES}
