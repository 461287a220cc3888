"""The replica set's forerunner: the same loop over objects of core/v1, whose selector is a plain map of labels.

Upstream wraps its replica set controller just so.

Upstream: pkg/controller/replication/replication_controller.go
"""

from __future__ import annotations

from labkit.glassbox.controllers.replicaset import ReplicaSetController


class ReplicationController(ReplicaSetController):
    """A replica set of another kind, whose status does not count the pods that are on their way out."""

    name = "replication-controller"
    workers = 1  # nobody makes many of them any more
    kind, resource = "ReplicationController", "replicationcontrollers"
    counts_terminating = False
