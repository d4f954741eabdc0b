"""`python -m pipeline_runner`, and the `prun` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    import gc

    from pipeline_runner.cli.leaving import answer_signals

    answer_signals()  # before all that takes its time
    from pipeline_runner.cli.app import run

    try:
        run()
    finally:
        gc.unfreeze()  # a file that a call has left open is written when it is found


def command() -> None:
    """As `main`, for a process that is there for nothing else."""
    import sys

    there = frozenset(sys.modules)
    try:
        main()
    except SystemExit as end:
        from pipeline_runner.cli.parting import part

        part(end.code, there)
        raise


if __name__ == "__main__":
    command()
