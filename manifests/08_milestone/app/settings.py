"""Settings of either tier: a variable of the environment, or a file in one of these folders."""

import os
import signal
import sys
from pathlib import Path

FOLDERS = ("/etc/settings", "/etc/secret")


def setting(name):
    """Return a setting, or end with a word about it: a program that lacks one must not seem to work."""
    if name in os.environ:
        return os.environ[name]
    for folder in FOLDERS:
        if (file := Path(folder, name)).is_file():
            return file.read_text()
    sys.exit(f"{name} is not set: give it as a variable, or as a file in {' or '.join(FOLDERS)}")


def end_when_told():
    """End at once on SIGTERM, with whatever is still in hand, as many programs do."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
