"""What lesson 08 promises to show: the milestone, tried on the cluster."""

from tests.shows.breaking import breaks
from tests.shows.lesson_05 import no_volume_outlives, one_for_all_pods

SHOWN = {
    "lost": r"^kept\nbuy milk\npod/store\n•.+\n✓ pods tier=store are 1, all Ready$(?!\nbuy milk)",
    "keeps": r"08\.1 .+: right[\s\S]+✓ it opens to the secret's password[\s\S]+✓ a note is there when the pod",
    "localhost": r"^The board, version 1, served by web-\S+\nwget: server returned error: HTTP/1\.1 502 Bad Gateway",
    "finds": r"08\.2 .+: right[\s\S]+✓ it invents nothing while the store is away[\s\S]+"
    r"✓ a new password reaches the store from the secret[\s\S]+✓ a new title reaches the page from the settings[\s\S]+"
    r"✓ it finds the store by name",
    "gap": r"^failed, HTTP 503:\nfailed, connection lost:",
    "survives": r"08\.3 .+: right[\s\S]+✓ another pod takes the place of a killed one[\s\S]+✓ a pod that hangs"
    r"[\s\S]+✓ four of them serve when four are asked for",
    "loses": r"successfully rolled out[\s\S]+^failed, connection lost:",
    "rolls-out": r"08\.4 .+: right[\s\S]+✓ a rollout brings another version into every page[\s\S]+✓ no request is lost",
}

STORE = ("0-code", "1-solution")
BOTH = (*STORE, "2-solution")


@breaks("lost", after=("0-code", "1-apply"))
def an_empty_dir_stays_when_its_pod_goes():
    one_for_all_pods(lambda name: name == "notes")


@breaks("keeps", after=STORE)
def what_lies_in_a_claim_goes_with_the_pod():
    from labkit.glassbox.kubelet.volumes import claim

    claim.directory = no_volume_outlives(claim.directory, "uid")


@breaks("localhost", after=("0-code",))
def a_service_leads_nowhere():
    from labkit.glassbox.kube_proxy import services

    honest = services.ports_of
    services.ports_of = lambda service, slices: [] if service["metadata"]["name"] == "web" else honest(service, slices)


@breaks("finds", after=BOTH)
def a_kubelet_never_reads_a_secret_twice():
    from labkit.glassbox.kubelet import env

    honest, known = env.fetch, {}
    env.fetch = lambda lookup, resource, reference: known.setdefault(
        (resource, str(reference)), honest(lookup, resource, reference)
    )


@breaks("gap", after=BOTH)
def a_set_makes_its_pods_once_and_never_again():
    from labkit.glassbox.controllers import replicaset

    honest, made = replicaset.plan, set()

    def once(rs, pods):
        if rs["metadata"]["uid"] in made:
            return 0, []
        missing, surplus = honest(rs, pods)
        made.update([rs["metadata"]["uid"]] if missing else [])
        return missing, surplus

    replicaset.plan = once


@breaks("survives", after=(*BOTH, "3-solution"))
def every_probe_succeeds():
    from labkit.glassbox.kubelet import prober

    prober.ask = lambda *_: prober.Outcome(prober.SUCCESS)


def before_a_pod_ends(seconds):
    """Have every container sleep before it is told to end, or none, whatever its preStop hook says."""
    from labkit.glassbox.kubelet.hooks import Hooks, Run

    honest = Hooks.run

    def slept(self, pod, container, instance, when):
        if when != "preStop":
            return honest(self, pod, container, instance, when)
        return Run(due=self.around.clock.now() + seconds) if seconds else None

    Hooks.run = slept


@breaks("loses", after=(*BOTH, "3-solution"))
def nobody_ends_at_once():
    before_a_pod_ends(3.0)


@breaks("rolls-out", after=(*BOTH, "3-solution", "4-solution"))
def no_hook_is_run():
    before_a_pod_ends(0)
