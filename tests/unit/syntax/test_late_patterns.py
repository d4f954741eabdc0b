"""PyYAML is whole for whoever uses more of it than we do, although its patterns were not compiled at once."""

from __future__ import annotations

import re
import subprocess
import sys

ASK = """
import re, sys
compile = re.compile
from pipeline_runner.syntax.parser import _Late, yaml
assert re.compile is compile
assert type(yaml.reader.Reader.NON_PRINTABLE) is _Late
assert yaml.safe_load("{a: [1, 2.5, yes, 2020-01-02]}")["a"][:3] == [1, 2.5, True]
assert yaml.load("a: 0x10", yaml.CSafeLoader) == {"a": 16}
assert yaml.dump({"a": "yes"}) == "a: 'yes'\\n"
try:
    yaml.safe_load("a: \\0")
except yaml.reader.ReaderError:
    sys.exit(0)
"""


def test_patterns_are_there_when_they_are_asked_for():
    assert subprocess.run([sys.executable, "-c", ASK], check=False).returncode == 0


def test_a_program_with_threads_gets_its_patterns_at_once():
    code = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n" + ASK
    told = code.replace("is _Late", "is re.Pattern")
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
    assert re.compile("a").match("a")
