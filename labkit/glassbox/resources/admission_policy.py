"""ValidatingAdmissionPolicy and its bindings: rules in CEL about what may be written, and where they are in force.

Left out: the check of a policy's expressions against the kinds that it is about (status.typeChecking).

Upstream: pkg/registry/admissionregistration/validatingadmissionpolicy{,binding}, pkg/apis/admissionregistration/v1
"""

from __future__ import annotations

from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import admission_policies

GROUP = "admissionregistration.k8s.io"


class PolicyStrategy(Strategy):
    counts_generation = True
    has_status = True
    faults = staticmethod(admission_policies.policy)


class BindingStrategy(Strategy):
    counts_generation = True
    faults = staticmethod(admission_policies.binding)


def _param_kind(obj: dict, now: float) -> str:
    kind = dig(obj, "spec.paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


POLICIES = Resource(
    group=GROUP,
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    namespaced=False,
    strategy=PolicyStrategy(),
    categories=("api-extensions",),
    subresources=("status",),
    columns=(
        NAME,
        Column(
            "Validations",
            lambda obj, now: len(dig(obj, "spec.validations") or ()),
            description="Validations indicates the number of validation rules defined in this configuration",
            type="integer",
        ),
        Column(
            "ParamKind",
            _param_kind,
            description="ParamKind specifies the kind of resources used to parameterize this policy",
        ),
        AGE,
    ),
    storage_version_hash="6OxvlMmQ6is=",
)
BINDINGS = Resource(
    group=GROUP,
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    namespaced=False,
    strategy=BindingStrategy(),
    categories=("api-extensions",),
    columns=(
        NAME,
        Column(
            "PolicyName",
            at("spec.policyName"),
            description="PolicyName indicates the policy definition which the policy binding binded to",
        ),
        Column(
            "ParamRef",
            lambda obj, now: param_ref(dig(obj, "spec.paramRef")),
            description="ParamRef indicates the param object which sets the configration param",
        ),
        AGE,
    ),
    storage_version_hash="v9715VZqakg=",
)


def param_ref(reference: dict | None) -> str:
    """Return where a binding's parameters are, as a table shows it."""
    if not reference:
        return "<unset>"
    named = reference.get("name") or "*"
    return f"{reference['namespace']}/{named}" if reference.get("namespace") else named
