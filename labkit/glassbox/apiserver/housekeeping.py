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
from labkit.glassbox.apiserver.auth import ITSELF
from labkit.glassbox.apiserver.handlers import handle
from labkit.glassbox.apiserver.objects_at_rest import key
from labkit.glassbox.apiserver.request import Api, Request
from labkit.glassbox.apiserver.routes import parse
from labkit.glassbox.resources import REGISTRY
from labkit.glassbox.resources.priority_class import SYSTEM

log = logging.getLogger(__name__)

COMPACT_AFTER = 300.0  # seconds
INTERVAL = 30.0  # seconds
API_PORT = 6443


def first_objects(api: Api) -> None:
    """Make the system's namespaces and priority classes where they are missing."""
    for name in SYSTEM_NAMESPACES:
        _make("namespaces", {"metadata": {"name": name}}, api)
    for name, (value, what_for) in SYSTEM.items():
        _make("priorityclasses", {"metadata": {"name": name}, "value": value, "description": what_for}, api)

    own_service(api)


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
        route = parse("POST", resource.path(namespace or None))
        assert route is not None
        handle(Request("POST", route, resource, {}, body=orjson.dumps(obj), user=ITSELF), api)


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
