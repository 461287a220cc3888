"""A check whose kernel is killed in a trial's midst: the next check finds what it had changed, and takes it back."""

import json
import subprocess
import sys

import pytest
import yaml

from labkit.rubric import Trial
from labkit.trials import journal
from labkit.trials.faults import Faults
from labkit.trials.trial import Trials
from tests.embedded import eventually
from tests.lessons import kubectl
from tests.test_lesson_08 import state_of_the_world

LESSON = "08"
pytestmark = pytest.mark.cluster

# As a kernel would: changes all that a trial can change, then asks a service that is not there.
TRIED = """
import sys
from pathlib import Path
from labkit.api import Api
from labkit.rubric import Trial
from labkit.trials.trial import Trials

steps = (
    {"patch": "secrets/store", "with": {"stringData": {"PASSWORD": "{nonce}"}}},
    {"patch": "configmaps/settings", "with": {"data": {"TITLE": "{nonce}", "MORE": "x"}}},
    {"remake": "store"},
    {"scale": "tier=web", "to": 2},
    {"restart": "tier=web"},
    {"ask": "nobody", "url": "http://nobody.invalid/", "within": 100},
)
Trials(Api(Path(sys.argv[1])), sys.argv[2], {"t": Trial("t", "changing", steps)}, print).result("t")
"""


@pytest.fixture
def service(lab):
    """A small service, and what it was like."""
    kubectl("create deployment web --image=busybox:1.36 -- sleep infinity")
    kubectl(f"patch deployment web --type=json -p '{LABELLED}'")
    kubectl("create configmap settings --from-literal=TITLE=mine")
    kubectl("create secret generic store --from-literal=PASSWORD=mine")
    kubectl("create service clusterip store --tcp=80:8080")
    lab.wait("pods tier=web", "1 Ready")
    return state_of_the_world()


LABELLED = (
    '[{"op": "add", "path": "/spec/template/metadata/labels/tier", "value": "web"},'
    ' {"op": "add", "path": "/spec/template/spec/terminationGracePeriodSeconds", "value": 1}]'
)


def killed_when_it_has_changed_all(lab):
    """Start the trial in a process of its own, and kill that when the last change is there."""
    run = [sys.executable, "-c", TRIED, str(lab.kubeconfig), lab.namespace]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL) as kernel:
        try:
            eventually(lambda: "restartedAt" in kubectl("get deployment web -o yaml"), within=60)
        finally:
            kernel.kill()


def test_the_next_check_takes_back_what_one_has_left_whose_kernel_was_killed(lab, service):
    killed_when_it_has_changed_all(lab)
    assert state_of_the_world() != service
    told = []
    asked = Trial("asked", "asking", ({"ask": "page", "url": "http://nobody.invalid/"},))
    with Trials(lab.api, lab.namespace, {"asked": asked}, told.append) as trials:
        trials.result("asked")
    assert told == ["• asking", "• taking back what a check that broke off has left changed (about 5 s)"]
    assert state_of_the_world() == service


def test_notes_that_no_trial_has_written_are_discarded_whatever_holds_them(lab):
    meta = {"name": journal.NAME, "finalizers": ["example.com/never"]}
    steps = [{"do": "create", "object": {"kind": "Service", "metadata": {"name": "forged"}}}]
    lab.api.create("secrets", {"metadata": meta, "stringData": {"steps": json.dumps(steps)}}, lab.namespace)
    journal.discard(lab.api, lab.namespace)
    assert not Faults(lab.api, lab.namespace, 5).left_over()
    journal.discard(lab.api, lab.namespace)


def test_what_the_student_has_changed_meanwhile_stays(lab, service):
    killed_when_it_has_changed_all(lab)
    kubectl("""patch configmap settings -p '{"data": {"TITLE": "a better one"}}'""")
    with Trials(lab.api, lab.namespace, {"t": Trial("t", "asking", ({"undo": True},))}, print) as trials:
        trials.result("t")
    settings = yaml.safe_load(kubectl("get configmap settings -o yaml"))
    assert settings["data"]["TITLE"] == "a better one"
    assert kubectl("get secret store -o jsonpath={.data.PASSWORD}") == "bWluZQ=="
