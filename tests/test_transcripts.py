"""kubectl sessions on the embedded cluster print what their transcripts say; `--rewrite` records them anew."""

from pathlib import Path

import pytest

from tests.sessions import play, written

FOLDER = Path(__file__).parent / "transcripts"


@pytest.mark.cluster
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_transcript(path, cluster, request, python_image):
    heading, seen = play(path, cluster.kubeconfig, python_image)
    if request.config.getoption("--rewrite"):
        path.write_text(written(heading, seen))
    else:
        assert [step.text(output) for step, output in seen] == [step.text(step.expected) for step, _ in seen]
