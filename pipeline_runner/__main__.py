"""`python -m pipeline_runner`, and the `prun` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from pipeline_runner.cli.leaving import answer_signals

    answer_signals()  # before all that takes its time
    from pipeline_runner.cli.app import run

    run()


if __name__ == "__main__":
    main()
