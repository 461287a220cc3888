"""Who each controller is: a service account in kube-system, with the rights of that one controller.

One process runs them all and reads for all as the controller manager; what a controller writes, it writes under its own
name. Its account and a token for an hour are made when it first asks; the token is renewed before it ends.

All of them share one pool of connections: on such a connection it is the token that says who asks.

Upstream: staging/src/k8s.io/controller-manager/pkg/clientbuilder/client_builder_dynamic.go
"""

from __future__ import annotations

import threading
import time
from typing import Any

from labkit.glassbox.client import Client
from labkit.glassbox.errors import ApiError

NAMESPACE = "kube-system"
SECONDS = 3600  # that a token is asked for
RENEW_AFTER = 0.8  # of its life
# The account's name, where it is not the controller's.
NAMES = {
    "daemonset-controller": "daemon-set-controller",
    "endpoints-controller": "endpoint-controller",
    "garbage-collector-controller": "generic-garbage-collector",
    "horizontal-pod-autoscaler-controller": "horizontal-pod-autoscaler",
    "persistentvolume-binder-controller": "persistent-volume-binder",
    "persistentvolumeclaim-protection-controller": "pvc-protection-controller",
    "pod-garbage-collector-controller": "pod-garbage-collector",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "glassbox.labkit/host-path": "host-path-provisioner",
}
AS_MANAGER = ("serviceaccount-token-controller",)


class Accounts:
    """Makes the controllers' clients."""

    def __init__(self, manager: Client, kubeconfig: str):
        self.manager, self.kubeconfig = manager, kubeconfig
        self._open: Client | None = None

    def client(self, controller: str) -> Client:
        """Return the client with which a controller asks."""
        if controller in AS_MANAGER:
            return self.manager
        if self._open is None:
            self._open = Client.from_kubeconfig(self.kubeconfig, "kube-controller-manager", as_user=False)
        return AccountClient(self.manager, self._open, NAMES.get(controller, controller))


class AccountClient(Client):
    """A client that asks as a service account."""

    def __init__(self, manager: Client, through: Client, account: str):
        self.pool, self.prefix = through.pool, through.prefix
        agent = f"{through.headers['User-Agent']}/system:serviceaccount:{NAMESPACE}:{account}"
        self.headers = {**through.headers, "User-Agent": agent}
        self.manager, self.account = manager, account
        self.renew_at = 0.0
        self._lock = threading.Lock()

    def _open(self, *args: Any, **options: Any):
        with self._lock:
            if time.monotonic() >= self.renew_at:
                self.headers = {**self.headers, "Authorization": f"Bearer {self._token()}"}
        try:
            return super()._open(*args, **options)
        except ApiError as error:
            if error.code == 401:
                self.renew_at = 0.0  # somebody has deleted the account
            raise

    def _token(self) -> str:
        metadata = {"name": self.account, "namespace": NAMESPACE}
        try:
            self.manager.create("serviceaccounts", {"metadata": metadata})
        except ApiError as error:
            if error.code != 409:
                raise
        request = {"spec": {"expirationSeconds": SECONDS}}
        made = self.manager.create_subresource("serviceaccounts", self.account, NAMESPACE, "token", request)
        self.renew_at = time.monotonic() + SECONDS * RENEW_AFTER
        return made["status"]["token"]
