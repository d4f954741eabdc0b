"""The example that is made of files, run again and again: only what has changed is made."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "files_rerun"


@pytest.mark.timeout(120)
def test_only_what_has_changed_is_made_again(tmp_path, prun):
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "site", ignore=shutil.ignore_patterns(".prun", "__py*")))

    def reused() -> dict[str, int]:
        told = json.loads(prun("plan", "pipeline.yaml", "--json", cwd=folder).stdout)["stages"]
        ran = json.loads(prun("pipeline.yaml", "--json", cwd=folder).stdout)["stages"]
        assert all((stage["status"] == "reused") == (told[name]["action"] == "reuse") for name, stage in ran.items())
        return {name: stage["reused"] for name, stage in told.items()}

    nothing, everything = {"render": 0, "index": 0, "check": 0}, {"render": 3, "index": 1, "check": 3}
    assert reused() == nothing
    assert reused() == everything

    for page in (folder / "pages").iterdir():
        os.utime(page)
    assert reused() == everything

    (folder / "pages/first.txt").write_text("First\nOther words.\n")
    assert reused() == {"render": 2, "index": 0, "check": 2}
    assert "Other words." in (folder / "site/first.html").read_text()

    (folder / "frame.html").write_text("<html>TITLE BODY</html>\n")
    assert reused() == nothing

    (folder / "site/index.html").unlink()
    assert reused() == {"render": 3, "index": 0, "check": 3}

    source = (folder / "press.py").read_text()
    (folder / "press.py").write_text(source.replace('"\\n".join', '" ".join'))
    assert reused() == {"render": 3, "index": 0, "check": 3}
    assert reused() == everything
