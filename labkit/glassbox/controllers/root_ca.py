"""Publishes the cluster's certificate authority into each namespace, so that a pod can trust the API server.

Upstream: pkg/controller/certificates/rootcacertpublisher/publisher.go
"""

from __future__ import annotations

from labkit.glassbox import objects
from labkit.glassbox.controller import Controller, itself
from labkit.glassbox.errors import ApiError

NAME = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the"
    " internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes"
    " clusters."
)


class RootCAPublisher(Controller):
    """The key is a namespace."""

    name = "root-ca-certificate-publisher-controller"

    def __init__(self, api, cache, recorder, certificate: str):
        self.certificate = certificate
        super().__init__(api, cache, recorder)

    @property
    def watches(self):
        return {"namespaces": itself, "configmaps": namespace_of}

    def reconcile(self, key: str) -> None:
        namespace = self.cache["namespaces"].get(key)
        if namespace is None or objects.is_deleting(namespace):
            return
        published = self.cache["configmaps"].get(f"{key}/{NAME}")
        wanted = config_map(key, self.certificate)
        if published is None:
            self.publish(wanted)
        elif published.get("data") != wanted["data"]:
            self.api.update("configmaps", {**published, "data": wanted["data"]})

    def publish(self, wanted: dict) -> None:
        try:
            self.api.create("configmaps", wanted)
        except ApiError as error:
            if error.code not in (403, 404, 409):  # the namespace goes away, or the copy is behind
                raise


def namespace_of(config_map: dict) -> list[str]:
    """A changed or deleted copy concerns its namespace."""
    return [objects.namespace(config_map)] if objects.name(config_map) == NAME else []


def config_map(namespace: str, certificate: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": DESCRIPTION},
        },
        "data": {"ca.crt": certificate},
    }
