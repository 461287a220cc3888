"""The one table of all kinds that are served.

Stands for the API installer's view of the world: handlers, discovery, the client and the garbage collector all
look kinds up here. Adding a kind is one more declaration in the list below.

Upstream: pkg/controlplane/instance.go
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labkit.glassbox.resources import (
    admission_policy,
    api_service,
    authentication,
    certificate_signing_request,
    component_status,
    configmap,
    controller_revision,
    cronjob,
    csi,
    custom_resource_definition,
    daemonset,
    deployment,
    dynamic_resources,
    endpoint_slice,
    event,
    flow_control,
    horizontal_pod_autoscaler,
    ingress,
    job,
    lease,
    limit_range,
    metrics,
    namespace,
    network_policy,
    node,
    persistent_volume,
    persistent_volume_claim,
    pod,
    pod_disruption_budget,
    pod_template,
    priority_class,
    rbac,
    replicaset,
    replication_controller,
    resource_quota,
    runtime_class,
    secret,
    service,
    service_account,
    service_cidr,
    statefulset,
    storage_class,
    webhook_configuration,
)
from labkit.glassbox.resources.resource import Resource


class Registry:
    """Kinds by path, by name and by kind: the declared ones, and custom ones that come and go while a process runs."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._declared = tuple(resources)
        self.listeners: list[Callable[[], None]] = []  # told of each change: who remembers what followed from it
        self.set_custom(())

    def set_custom(self, custom: Iterable[Resource]) -> None:
        """Serve these custom resources from now on, and no others."""
        resources = (*self._declared, *custom)
        at = {(r.group, r.version, r.plural): r for r in reversed(resources)}  # the declared ones win
        names: dict[str, Resource] = {}
        kinds: dict[tuple[str, str], Resource] = {}
        for resource in resources:
            kinds.setdefault((resource.api_version, resource.kind), resource)
            for name in (resource.plural, resource.singular, resource.kind, *resource.short_names):
                names.setdefault(name, resource)  # the first declared wins, as kubectl prefers core
            names.setdefault(resource.group_plural, resource)
            names.setdefault(f"{resource.plural}.{resource.version}.{resource.group}", resource)
        self._resources, self._at, self._names, self._kinds = resources, at, names, kinds
        for listener in self.listeners:
            listener()

    def all(self) -> tuple[Resource, ...]:
        """Return every resource, in the order in which discovery lists them."""
        return self._resources

    def find(self, name: str) -> Resource:
        """Return the resource called so: plural, singular, kind, short name, or "plural.group".

        Raises KeyError.
        """
        return self._names[name]

    def at(self, group: str, version: str, plural: str) -> Resource | None:
        """Return the resource served at /apis/GROUP/VERSION/PLURAL."""
        return self._at.get((group, version, plural))

    def for_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource whose objects say `apiVersion` and `kind`."""
        return self._kinds.get((api_version, kind))

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Return group -> its versions, the preferred first."""
        found: dict[str, tuple[str, ...]] = {}
        for resource in self._resources:
            versions = found.get(resource.group, ())
            if resource.version not in versions:
                found[resource.group] = (*versions, resource.version)
        return found

    def is_declared(self, group: str) -> bool:
        """Tell whether a group has kinds of our own."""
        return any(resource.group == group for resource in self._declared)


REGISTRY = Registry(
    (
        # v1
        *(
            component_status.BINDINGS,
            component_status.COMPONENT_STATUSES,
            configmap.CONFIGMAPS,
            endpoint_slice.ENDPOINTS,
            event.EVENTS,
            limit_range.LIMIT_RANGES,
            namespace.NAMESPACES,
            node.NODES,
        ),
        *(persistent_volume_claim.PERSISTENT_VOLUME_CLAIMS, persistent_volume.PERSISTENT_VOLUMES, pod.PODS),
        *(
            pod_template.POD_TEMPLATES,
            replication_controller.REPLICATION_CONTROLLERS,
            resource_quota.RESOURCE_QUOTAS,
            secret.SECRETS,
        ),
        *(service_account.SERVICE_ACCOUNTS, service.SERVICES),
        # the other groups, in the order in which discovery lists them
        api_service.API_SERVICES,
        *(controller_revision.CONTROLLER_REVISIONS, daemonset.DAEMONSETS, deployment.DEPLOYMENTS),
        *(replicaset.REPLICASETS, statefulset.STATEFULSETS),
        event.EVENTS_V1,
        *(authentication.TOKEN_REVIEWS, authentication.SELF_SUBJECT_REVIEWS, *authentication.ACCESS_REVIEWS),
        horizontal_pod_autoscaler.HORIZONTAL_POD_AUTOSCALERS,
        horizontal_pod_autoscaler.HORIZONTAL_POD_AUTOSCALERS_V1,
        *(cronjob.CRONJOBS, job.JOBS),
        certificate_signing_request.CERTIFICATE_SIGNING_REQUESTS,
        *(ingress.INGRESS_CLASSES, ingress.INGRESSES, service_cidr.IP_ADDRESSES, network_policy.NETWORK_POLICIES),
        service_cidr.SERVICE_CIDRS,
        pod_disruption_budget.POD_DISRUPTION_BUDGETS,
        *(rbac.CLUSTER_ROLE_BINDINGS, rbac.CLUSTER_ROLES, rbac.ROLE_BINDINGS, rbac.ROLES),
        *(csi.CSI_DRIVERS, csi.CSI_NODES, csi.CSI_STORAGE_CAPACITIES, storage_class.STORAGE_CLASSES),
        *(csi.VOLUME_ATTACHMENTS, csi.VOLUME_ATTRIBUTES_CLASSES),
        *(admission_policy.MUTATING_POLICIES, admission_policy.MUTATING_BINDINGS, webhook_configuration.MUTATING),
        *(admission_policy.POLICIES, admission_policy.BINDINGS, webhook_configuration.VALIDATING),
        custom_resource_definition.CUSTOM_RESOURCE_DEFINITIONS,
        *(priority_class.PRIORITY_CLASSES, lease.LEASES, runtime_class.RUNTIME_CLASSES, endpoint_slice.ENDPOINT_SLICES),
        *(dynamic_resources.DEVICE_CLASSES, dynamic_resources.RESOURCE_CLAIMS),
        *(dynamic_resources.RESOURCE_CLAIM_TEMPLATES, dynamic_resources.RESOURCE_SLICES),
        *(flow_control.FLOW_SCHEMAS, flow_control.PRIORITY_LEVELS),
        *(metrics.NODE_METRICS, metrics.POD_METRICS),
    )
)
