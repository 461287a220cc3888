"""Starts the controllers that --controllers names, on informers that they share.

Left out: leader election; there is one controller manager a cluster, and its supervisor starts it again.

Upstream: cmd/kube-controller-manager/app/controllermanager.go
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

from labkit.glassbox.client import Client
from labkit.glassbox.controller import Controller
from labkit.glassbox.controllers.accounts import Accounts
from labkit.glassbox.controllers.certificate import CertificateController
from labkit.glassbox.controllers.cluster_role_aggregation import ClusterRoleAggregationController
from labkit.glassbox.controllers.cronjob import CronJobController
from labkit.glassbox.controllers.custom_kinds import CustomKinds
from labkit.glassbox.controllers.daemonset import DaemonSetController
from labkit.glassbox.controllers.deployment import DeploymentController
from labkit.glassbox.controllers.disruption import DisruptionController
from labkit.glassbox.controllers.endpoint import EndpointsController
from labkit.glassbox.controllers.endpointslice import EndpointSliceController
from labkit.glassbox.controllers.ephemeral_volume import EphemeralVolumeController
from labkit.glassbox.controllers.garbage_collector import GarbageCollector, collected
from labkit.glassbox.controllers.host_path_provisioner import HostPathProvisioner
from labkit.glassbox.controllers.hpa import SYNC_PERIOD, HorizontalPodAutoscalerController
from labkit.glassbox.controllers.job import JobController
from labkit.glassbox.controllers.namespace import NamespaceController
from labkit.glassbox.controllers.node_lifecycle import GRACE, NodeLifecycleController
from labkit.glassbox.controllers.persistent_volume import PersistentVolumeController
from labkit.glassbox.controllers.pod_gc import TERMINATED_PODS, PodGarbageCollector
from labkit.glassbox.controllers.replicaset import ReplicaSetController
from labkit.glassbox.controllers.replicationcontroller import ReplicationController
from labkit.glassbox.controllers.resource_quota import ResourceQuotaController
from labkit.glassbox.controllers.root_ca import RootCAPublisher
from labkit.glassbox.controllers.service_account import ServiceAccountController
from labkit.glassbox.controllers.statefulset import StatefulSetController
from labkit.glassbox.controllers.storage_protection import StorageProtectionController
from labkit.glassbox.controllers.token_secrets import TokenSecretController
from labkit.glassbox.controllers.ttl_after_finished import TTLAfterFinishedController
from labkit.glassbox.events import EventRecorder
from labkit.glassbox.informer import inform
from labkit.glassbox.tokens import SigningKey

CONTROLLERS: dict[str, type[Controller]] = {
    each.name: each
    for each in (
        DeploymentController,
        ReplicaSetController,
        JobController,
        CronJobController,
        TTLAfterFinishedController,
        HorizontalPodAutoscalerController,
        DisruptionController,
        ReplicationController,
        StatefulSetController,
        DaemonSetController,
        EndpointSliceController,
        EndpointsController,
        NamespaceController,
        GarbageCollector,
        PodGarbageCollector,
        ServiceAccountController,
        NodeLifecycleController,
        RootCAPublisher,
        TokenSecretController,
        PersistentVolumeController,
        HostPathProvisioner,
        EphemeralVolumeController,
        StorageProtectionController,
        ClusterRoleAggregationController,
        ResourceQuotaController,
        CertificateController,
    )
}
LOOK_EVERY = 0.5  # seconds
# Options without which a controller is not started.
NEEDS: dict[type[Controller], tuple[str, ...]] = {
    RootCAPublisher: ("root_ca_file",),
    CertificateController: ("cluster_signing_cert_file", "cluster_signing_key_file"),
    TokenSecretController: ("root_ca_file", "service_account_private_key_file"),
}


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    api = Client.from_kubeconfig(options.kubeconfig, user_agent="kube-controller-manager")
    cache, accounts = inform(api, *collected()), Accounts(api, options.kubeconfig)
    started: list[Controller] = []
    for name in options.controllers:
        if any(not getattr(options, each) for each in NEEDS.get(CONTROLLERS[name], ())):
            continue  # as upstream: nothing to publish, nothing to sign with
        own = accounts.client(name) if options.use_service_account_credentials else api
        started.append(make(CONTROLLERS[name], own, cache, options))
        started[-1].start()
    CustomKinds(api, cache, started)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    first, *others = cache.values()
    first.start()
    while not (first.wait_for_sync(LOOK_EVERY) or stop.is_set()):
        pass  # the others' connections resume the session of this one
    for informer in others:
        informer.start()
    stop.wait()
    return 0


def make(kind: type[Controller], api: Client, cache, options: argparse.Namespace) -> Controller:
    """Return a controller with a recorder that speaks in its name."""
    recorder = EventRecorder(api, kind.source or kind.name)
    if kind is NodeLifecycleController:
        return NodeLifecycleController(api, cache, recorder, options.node_monitor_grace_period)
    if kind is HorizontalPodAutoscalerController:
        return HorizontalPodAutoscalerController(api, cache, recorder, options.horizontal_pod_autoscaler_sync_period)
    if kind is PodGarbageCollector:
        return PodGarbageCollector(api, cache, recorder, options.terminated_pod_gc_threshold)
    if kind is RootCAPublisher:
        return RootCAPublisher(api, cache, recorder, Path(options.root_ca_file).read_text())
    if kind is TokenSecretController:
        key = SigningKey(Path(options.service_account_private_key_file))
        return TokenSecretController(api, cache, recorder, key, Path(options.root_ca_file).read_text())
    if kind is CertificateController:
        authority = (options.cluster_signing_cert_file, options.cluster_signing_key_file)
        return CertificateController(api, cache, recorder, authority)
    return kind(api, cache, recorder)


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m labkit.glassbox.controllers", description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True, help="how to reach the API server, and as whom")
    parser.add_argument(
        "--use-service-account-credentials",
        action="store_true",
        help="have each controller ask as an account of its own",
    )
    parser.add_argument("--controllers", type=_names, default=list(CONTROLLERS), help="names with commas between them")
    parser.add_argument(
        "--node-monitor-grace-period", type=float, default=GRACE, help="seconds of silence before a node is Unknown"
    )
    parser.add_argument(
        "--horizontal-pod-autoscaler-sync-period", type=float, default=SYNC_PERIOD, help="seconds between two looks"
    )
    parser.add_argument(
        "--terminated-pod-gc-threshold", type=int, default=TERMINATED_PODS, help="how many pods that ended are kept"
    )
    parser.add_argument("--service-account-private-key-file", help="the key that signs service accounts' tokens")
    parser.add_argument("--cluster-signing-cert-file", type=Path, help="in whose name requests are signed")
    parser.add_argument("--cluster-signing-key-file", type=Path, help="its key")
    parser.add_argument("--root-ca-file", help="the certificate authority to publish into each namespace")
    return parser.parse_args(argv)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in CONTROLLERS]:
        raise argparse.ArgumentTypeError(f"no controller {unknown[0]!r}; there are: {', '.join(CONTROLLERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
