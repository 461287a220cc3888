"""The command `labkit`, also as `python -m labkit`: a Ctrl-C while modules are still imported ends it in silence."""

import signal


def main() -> None:
    """Import the command line and run it; before that there is nothing to put away."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from labkit.cli import main as run

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
