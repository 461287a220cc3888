"""Admission policies of both kinds and their bindings: rules in CEL about what is written, and where they are in force.

Upstream: pkg/registry/admissionregistration/{validating,mutating}admissionpolicy{,binding},
pkg/apis/admissionregistration/v1
"""

from __future__ import annotations

from labkit.glassbox.errors import Cause
from labkit.glassbox.objects import dig
from labkit.glassbox.resources.columns import AGE, NAME, at
from labkit.glassbox.resources.resource import Column, Resource
from labkit.glassbox.resources.strategy import Strategy
from labkit.glassbox.resources.validation import admission_policies

GROUP = "admissionregistration.k8s.io"


class MutatingPolicyStrategy(Strategy):
    counts_generation = True
    faults = staticmethod(admission_policies.mutating_policy)


class PolicyStrategy(Strategy):
    counts_generation = True
    has_status = True
    faults = staticmethod(admission_policies.policy)

    def validate_status_update(self, obj: dict, old: dict) -> list[Cause]:
        return list(admission_policies.status(obj.get("status") or {}))


class MutatingBindingStrategy(Strategy):
    counts_generation = True
    faults = staticmethod(admission_policies.mutating_binding)


class BindingStrategy(Strategy):
    counts_generation = True
    faults = staticmethod(admission_policies.binding)


def _param_kind(obj: dict, now: float) -> str:
    kind = dig(obj, "spec.paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else "<unset>"


def param_ref(reference: dict | None) -> str:
    """Return where a binding's parameters are, as a table shows it."""
    if not reference:
        return "<unset>"
    named = reference.get("name") or "*"
    return f"{reference['namespace']}/{named}" if reference.get("namespace") else named


def _counted(name: str, what: str) -> Column:
    """Return the column that counts a policy's rules."""
    return Column(
        name,
        lambda obj, now: len(dig(obj, f"spec.{name.lower()}") or ()),
        description=f"{what} rules defined in this configuration",
        type="integer",
    )


def _kind(kind: str, strategy: Strategy, columns: tuple[Column, ...], *below: str) -> Resource:
    return Resource(
        group=GROUP,
        kind=kind,
        plural=f"{kind.lower().removesuffix('policy')}policies" if kind.endswith("Policy") else f"{kind.lower()}s",
        namespaced=False,
        strategy=strategy,
        categories=("api-extensions",),
        columns=(NAME, *columns, AGE),
        subresources=below,
        storage_version="v1beta1" if kind.startswith("Mutating") else "",
    )


_PARAM_KIND = Column(
    "ParamKind",
    _param_kind,
    description="ParamKind specifies the kind of resources used to parameterize this policy",
)
_BOUND = (
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
)

MUTATING_POLICIES = _kind(
    "MutatingAdmissionPolicy",
    MutatingPolicyStrategy(),
    (_counted("Mutations", "Mutation indicates the number of mutations"), _PARAM_KIND),
)
MUTATING_BINDINGS = _kind("MutatingAdmissionPolicyBinding", MutatingBindingStrategy(), _BOUND)
POLICIES = _kind(
    "ValidatingAdmissionPolicy",
    PolicyStrategy(),
    (_counted("Validations", "Validations indicates the number of validation"), _PARAM_KIND),
    "status",
)
BINDINGS = _kind("ValidatingAdmissionPolicyBinding", BindingStrategy(), _BOUND)
