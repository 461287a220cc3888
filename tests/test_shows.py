"""Each thing that the course promises to show has an id, and what its cell printed is looked at.

A cell is tagged `shows:ID`. That stored outputs are what a cluster says now, nbval asserts.
"""

import re

import nbformat
import pytest

from tests.lessons import NOTEBOOKS

# id → what must stand in the outputs of its cells, as a regular expression.
SHOWN = {
    "01.machine": r"microk8s enable dns\n- microk8s enable hostpath-storage\n- microk8s enable dashboard",
    "01.which": r"provider: glassbox \| version: v1\.\d+\nnode1 ≈\S+ processors, ≈\S+ GiB, 110 pods",
    "01.version": r"Client Version: v1\.\d+[\s\S]+Server Version: v1\.\d+",
    "01.cluster-info": r"control plane\S* is running at \S*https://",
    "01.nodes": r"INTERNAL-IP +EXTERNAL-IP +OS-IMAGE +\S+ +CONTAINER-RUNTIME[\s\S]+node1 +Ready .*172\.30\.0\.11",
    "01.readyz": r"^ok[\s\S]+\[\+\]\S+ ok[\s\S]+readyz check passed",
    "01.kube-system": r"No resources found in kube-system namespace",
    "01.components": r"api-server\ncontroller-manager\ndns\n[\s\S]*kube-proxy\nkubelet\n[\s\S]*scheduler",
    "01.dns": r"Address: 10\.96\.0\.1",
    "01.dns-service": r"kube-dns +ClusterIP[\s\S]+Service kube-dns",
    "01.dashboard": r"live view of namespace lab-01",
    "01.kubeconfig": r"clusters:[\s\S]+contexts:[\s\S]+current-context: \S+[\s\S]+users:[\s\S]+token: REDACTED",
    "01.contexts": r"^labkit[\s\S]+system:authenticated",
    "07.components": r"api-server +running[\s\S]+controller-manager +running[\s\S]+scheduler +running"
    r"[\s\S]+kubelet@node2 +running[\s\S]+kube-proxy@node2 +running[\s\S]+dns +running",
    "07.timeline": r"kubectl +creates Deployment web\n +deployment controller +creates a ReplicaSet\n"
    r" +replica set controller +creates 2 Pods\n +scheduler +gives 2 Pods a node\n +kubelet +runs 2 Pods",
    "07.no-scheduler": r"scheduler is stopped[\s\S]+lost +0/1 +Pending[\s\S]+No resources found",
    "07.by-hand": r"by-hand +gives Pod by-hand a node\n +kubelet +runs Pod by-hand",
    "07.no-controller-manager": r"controller-manager is stopped[\s\S]+web +2/2[\s\S]+0 of 2 ready[\s\S]+2 × Pod",
    "07.reconcile": r"missing, surplus = plan\(rs, pods\)[\s\S]+def plan[\s\S]+\(3, \[\]\)",
    "07.api-server": r"api-server is stopped[\s\S]+gets no answer[\s\S]+api-server is running[\s\S]+^0 failures",
    "07.no-kubelet": r"kubelet@node2 is stopped[\s\S]+node2 +Ready[\s\S]+node2 +NotReady[\s\S]+^0 failures",
    "07.evicted": r"\+ └─ Pod web-\S+ · Running\n~ Node node2 · NotReady\n~ └─ Pod web-\S+ · Terminating",
    "07.no-kube-proxy": r"pod: answers \| service: wget: download timed out",
    "07.no-dns": r"name: wget: bad address 'web' \| address: answers",
    "07.quota": r"forbidden: exceeded quota: small, requested: requests\.cpu=200m, used: requests\.cpu=200m, limited",
}
LESSONS = {each.split(".")[0] for each in SHOWN}


def shown_by():
    """Return id → what its cells printed."""
    found = {}
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for tag in cell.metadata.get("tags", []):
                if tag.startswith("shows:"):
                    found.setdefault(tag.removeprefix("shows:"), []).append(printed(cell))
    return {name: "\n".join(texts) for name, texts in found.items()}


def printed(cell):
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(texts).replace("\r\n", "\n")


@pytest.fixture(scope="module")
def found():
    return shown_by()


@pytest.mark.parametrize("name", SHOWN)
def test_the_cell_shows_what_it_promises(found, name):
    assert re.search(SHOWN[name], found[name], re.MULTILINE), found[name]


def test_no_cell_shows_what_nobody_looks_at(found):
    assert {name for name in found if name.split(".")[0] in LESSONS} == set(SHOWN)
