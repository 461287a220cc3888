"""A cluster for one run: made, used, removed, whatever happens. Its state lies in a folder that goes with it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from labkit import providers
from labkit.cluster import DEFAULT, DEFAULT_NAME


@contextmanager
def own_cluster() -> Iterator[str]:
    """Start an embedded cluster that nobody else sees; give its name, as a notebook's parameter `cluster` takes it."""
    provider = providers.find("glassbox")
    before = os.environ.get("LABKIT_HOME")
    with tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True) as home:
        os.environ["LABKIT_HOME"] = home
        try:
            provider.start(DEFAULT_NAME)
            yield DEFAULT
        finally:
            provider.stop(DEFAULT_NAME)
            _restore("LABKIT_HOME", before)


def _restore(variable: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(variable, None)
    else:
        os.environ[variable] = value
