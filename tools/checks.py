"""What must hold before a commit, a function each: `prun checks.yaml` runs them as stages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("pipeline_runner", "tools", "tests", "benchmarks", "examples", "docs")


def tool(*command: str) -> str:
    """Run a command of this Python's environment in the project's folder and give its last line.

    Errors: RuntimeError with all that it wrote when it fails.
    """
    program = Path(sys.executable).with_name(command[0])
    ran = subprocess.run([str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return next(iter(ran.stdout.strip().splitlines()[-1:]), "")


def layout() -> str:
    """Every file is formatted as ruff does it."""
    return tool("ruff", "format", "--check", *PLACES)


def lint() -> str:
    """No rule of ruff is broken."""
    return tool("ruff", "check", *PLACES)


def types() -> str:
    """mypy --strict is content."""
    return tool("mypy")


def floors() -> str:
    """Imports point down the floors."""
    return tool("lint-imports")


def mutants() -> str:
    """Two thousand broken pipelines keep the promise; gives the slowest of them."""
    return tool("python", "tests/fuzz/mutants.py", "2000", "--jobs", "1")


def tests(folder: str) -> str:
    """The tests of one folder pass; gives pytest's closing line."""
    return tool("python", "-m", "pytest", "-q", folder)
