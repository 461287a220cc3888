"""What the API server does without being asked: its first objects, expiry, compaction.

Invariant: compaction keeps COMPACT_AFTER seconds of history, as upstream's five minutes, so a client that was away for
less goes on where it was.

Upstream: pkg/controlplane/controller/systemnamespaces, staging/src/k8s.io/apiserver/pkg/storage/etcd3/compact.go
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sqlite3

import orjson

from labkit.glassbox.apiserver.admission import SYSTEM_NAMESPACES
from labkit.glassbox.apiserver.handlers import handle_itself
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.flow_control import FROM_THE_BEGINNING
from labkit.glassbox.resources.priority_class import SYSTEM

log = logging.getLogger(__name__)

COMPACT_AFTER = 300.0  # seconds
INTERVAL = 30.0  # seconds
API_PORT = 6443


def first_objects(api: Api, client_ca: str) -> None:
    """Make what each cluster has from the beginning where it is missing; `client_ca` signs clients' certificates."""
    for name in SYSTEM_NAMESPACES:
        _make("namespaces", {"metadata": {"name": name}}, api)
    trusted = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
    if client_ca:  # by which upstream's components and extension servers know who asks them
        _make("configmaps", {"metadata": trusted, "data": {"client-ca-file": client_ca}}, api)
    for name, (value, what_for) in SYSTEM.items():
        _make("priorityclasses", {"metadata": {"name": name}, "value": value, "description": what_for}, api)

    for plural, specs in FROM_THE_BEGINNING.items():
        for name, spec in specs.items():
            _make(plural, {"metadata": {"name": name}, "spec": spec}, api)
    for group, versions in REGISTRY.groups.items():
        for version in versions:
            _own_api_service(group, version, api)
    _make("servicecidrs", {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [api.service_range]}}, api)
    own_service(api)


def _own_api_service(group: str, version: str, api: Api) -> None:
    """Note that this server itself answers for a group and version of the API."""
    managed = {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    spec = {"groupPriorityMinimum": 17000, "versionPriority": 15, "version": version}
    metadata = {"name": f"{version}.{group}", "labels": managed}
    _make("apiservices", {"metadata": metadata, "spec": {**spec, "group": group}}, api)


def own_service(api: Api) -> None:
    """Make the service at which pods find this API, and the address behind it."""
    port = {"name": "https", "protocol": "TCP", "port": 443, "targetPort": API_PORT}
    address = str(ipaddress.ip_network(api.service_range)[1])
    metadata = {"name": "kubernetes", "namespace": "default"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    spec = {"clusterIP": address, "ports": [port]}
    _make("services", {"metadata": {**metadata, "labels": labels}, "spec": spec}, api)
    if not api.advertise_address:
        return
    served = [{"name": "https", "protocol": "TCP", "port": API_PORT}]
    unmirrored = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    subset = {"addresses": [{"ip": api.advertise_address}], "ports": served}
    _make("endpoints", {"metadata": {**metadata, "labels": unmirrored}, "subsets": [subset]}, api)
    endpoint = {"addresses": [api.advertise_address], "conditions": {"ready": True}}
    named = {**metadata, "labels": {"kubernetes.io/service-name": "kubernetes"}}
    slice_ = {"metadata": named, "addressType": "IPv4", "endpoints": [endpoint], "ports": served}
    _make("endpointslices", slice_, api)


def _make(plural: str, obj: dict, api: Api) -> None:
    resource = REGISTRY.find(plural)
    namespace = obj["metadata"].get("namespace", "")
    if api.store.get(key(resource, namespace, obj["metadata"]["name"])) is None:
        handle_itself("POST", resource.path(namespace or None), obj, api)


def expire(api: Api) -> None:
    """Delete what has lived its time: events."""
    for row in api.store.expired():
        obj = orjson.loads(row.value)
        obj["metadata"]["resourceVersion"] = str(api.store.revision + 1)
        api.store.append(row.key, orjson.dumps(obj), expect=row.revision, deleted=True)


def compact(api: Api) -> None:
    """Forget history older than COMPACT_AFTER."""
    api.store.compact(api.store.revision_at(api.clock.now() - COMPACT_AFTER))


async def keep_house(api: Api) -> None:
    """Expire and compact for ever. A full disk is told in the log; the next round tries again."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            own_service(api)
            expire(api)
            compact(api)
        except sqlite3.Error:
            log.exception("compaction failed")
