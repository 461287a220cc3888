"""A definition's versions as Go prints its internal structs: an error text quotes them whole.

Upstream: staging/src/k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/{types,types_jsonschema}.go
"""

from __future__ import annotations

from typing import Any

# Go's name of a field → (JSON's name, what it is when nobody set it), in the order of the struct.
SCHEMA: dict[str, tuple[str, Any]] = {
    **{"ID": ("id", ""), "Schema": ("$schema", ""), "Ref": ("$ref", None), "Description": ("description", "")},
    **{"Type": ("type", ""), "Nullable": ("nullable", False), "Format": ("format", ""), "Title": ("title", "")},
    **{"Default": ("default", None), "Maximum": ("maximum", None), "ExclusiveMaximum": ("exclusiveMaximum", False)},
    **{"Minimum": ("minimum", None), "ExclusiveMinimum": ("exclusiveMinimum", False), "MaxLength": ("maxLength", None)},
    **{"MinLength": ("minLength", None), "Pattern": ("pattern", ""), "MaxItems": ("maxItems", None)},
    **{"MinItems": ("minItems", None), "UniqueItems": ("uniqueItems", False), "MultipleOf": ("multipleOf", None)},
    **{"Enum": ("enum", None), "MaxProperties": ("maxProperties", None), "MinProperties": ("minProperties", None)},
    **{"Required": ("required", None), "Items": ("items", None), "AllOf": ("allOf", None), "OneOf": ("oneOf", None)},
    **{"AnyOf": ("anyOf", None), "Not": ("not", None), "Properties": ("properties", None)},
    **{"AdditionalProperties": ("additionalProperties", None), "PatternProperties": ("patternProperties", None)},
    **{"Dependencies": ("dependencies", None), "AdditionalItems": ("additionalItems", None)},
    **{"Definitions": ("definitions", None), "ExternalDocs": ("externalDocs", None), "Example": ("example", None)},
    "XPreserveUnknownFields": ("x-kubernetes-preserve-unknown-fields", None),
    "XEmbeddedResource": ("x-kubernetes-embedded-resource", False),
    "XIntOrString": ("x-kubernetes-int-or-string", False),
    "XListMapKeys": ("x-kubernetes-list-map-keys", None),
    "XListType": ("x-kubernetes-list-type", None),
    "XMapType": ("x-kubernetes-map-type", None),
    "XValidations": ("x-kubernetes-validations", None),
}
RULE: dict[str, tuple[str, Any]] = {
    **{"Rule": ("rule", ""), "Message": ("message", ""), "MessageExpression": ("messageExpression", "")},
    **{"Reason": ("reason", None), "FieldPath": ("fieldPath", ""), "OptionalOldSelf": ("optionalOldSelf", None)},
}


def versions(given: list[dict]) -> list[dict]:
    """Return spec.versions as its internal structs; what all versions have alike does not stand in them."""
    return [
        {
            **{
                "Name": each.get("name", ""),
                "Served": each.get("served", False),
                "Storage": each.get("storage", False),
            },
            **{"Deprecated": each.get("deprecated", False), "DeprecationWarning": each.get("deprecationWarning")},
            "Schema": _own(given, each, "schema", lambda held: {"OpenAPIV3Schema": schema(held["openAPIV3Schema"])}),
            "Subresources": _own(given, each, "subresources", _subresources),
            "AdditionalPrinterColumns": _own(
                given, each, "additionalPrinterColumns", lambda held: list(map(_column, held))
            ),
            "SelectableFields": _own(
                given, each, "selectableFields", lambda held: [{"JSONPath": field["jsonPath"]} for field in held]
            ),
        }
        for each in given
    ]


def _own(given: list[dict], version: dict, field: str, write) -> Any:
    shared = all(each.get(field) == given[0].get(field) for each in given)
    return None if shared or version.get(field) is None else write(version[field])


def _subresources(held: dict) -> dict:
    paths = {"SpecReplicasPath": "specReplicasPath", "StatusReplicasPath": "statusReplicasPath"}
    scale = held.get("scale")
    if scale is not None:
        selector = scale.get("labelSelectorPath")
        scale = {**{name: scale.get(field, "") for name, field in paths.items()}, "LabelSelectorPath": selector}
    return {"Status": held.get("status"), "Scale": scale}


def _column(held: dict) -> dict:
    named = {"Name": "name", "Type": "type", "Format": "format", "Description": "description"}
    column = {name: held.get(field, "") for name, field in named.items()}
    return {**column, "Priority": held.get("priority", 0), "JSONPath": held.get("jsonPath", "")}


def schema(held: dict) -> dict:
    """Return a schema as its internal struct."""
    return {name: _field(name, held.get(field, unset)) for name, (field, unset) in SCHEMA.items()}


def rule(held: dict) -> dict:
    return {name: held.get(field, unset) for name, (field, unset) in RULE.items()}


def _field(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ("AllOf", "OneOf", "AnyOf"):
        return [schema(each) for each in value]
    if name == "Properties":
        return {key: schema(value[key]) for key in sorted(value)}
    if name == "Items":
        return {"Schema": schema(value), "JSONSchemas": None}
    if name == "AdditionalProperties":
        return (
            {"Allows": True, "Schema": schema(value)} if isinstance(value, dict) else {"Allows": value, "Schema": None}
        )
    if name == "XValidations":
        return [rule(each) for each in value]
    return schema(value) if name == "Not" else value
