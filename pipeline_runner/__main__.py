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
        # The interpreter looks three times through all that there is when it ends, a sixth of a small run's time.
        gc.freeze()


if __name__ == "__main__":
    main()
