"""Strategic merge patch: a pure function from an object, a patch and a definition to an object; both are used up.

Lists are merged by the merge keys that the published schema names. A patch may hold directives: `$patch` (replace,
delete), `$retainKeys`, `$deleteFromPrimitiveList/FIELD` and `$setElementOrder/FIELD`. What nothing is merged into (a
field that is not there, or is of another type) is taken from the patch, without its nulls and what has a directive.

Left out: the crash of upstream's server over `null` in a list that is merged; it is refused.

Upstream: staging/src/k8s.io/apimachinery/pkg/util/strategicpatch/patch.go
"""

from __future__ import annotations

from typing import Any

import orjson

from labkit.glassbox import errors
from labkit.glassbox.apiserver import schema
from labkit.glassbox.apiserver.json_patch import Unpatchable
from labkit.glassbox.errors import ApiError
from labkit.glassbox.resources.custom_resource import as_go_prints

PATCH, RETAIN, SET_ORDER, DELETE_FROM = "$patch", "$retainKeys", "$setElementOrder", "$deleteFromPrimitiveList"
GO_TYPES = {dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64"}


def strategic_merge(target: dict, change: dict, definition: str | None) -> dict:
    """Return target with change merged in by the schema of its definition. Raises ApiError 400, 500, Unpatchable."""
    if PATCH in change:
        return _as_directed(change)
    if RETAIN in change:
        target = _retained(target, change)
    for name in [each for each in change if each.startswith(SET_ORDER)]:
        _merge_in_order(target, change, name, definition)
    for name, value in change.items():
        is_deletion = name.startswith(DELETE_FROM)
        field = _list_named(name, DELETE_FROM, "primitive") if is_deletion else name
        if value is None:
            target.pop(field, None)
        elif field in target and type(target[field]) is type(value):
            _merge_field(target, field, value, definition, is_deletion)
        elif not is_deletion:
            _take_over(target, field, value)
    return target


def _merge_field(target: dict, name: str, value: Any, definition: str | None, is_deletion: bool) -> None:
    if not isinstance(value, dict | list):
        target[name] = value
        return
    info = _field(definition, name)
    if isinstance(value, list):
        merges = is_deletion or "merge" in info.patch_strategy
        target[name] = _merge_list(target[name], value, info, is_deletion) if merges else value
    elif "replace" in info.patch_strategy:
        target[name] = value
    else:
        target[name] = strategic_merge(target[name], value, info.definition)


def _take_over(target: dict, name: str, value: Any) -> None:
    if _has_directive(value):
        target.pop(name, None)
    else:
        target[name] = _plain(value)


def _plain(value: Any) -> Any:
    """Return a value of the patch without its nulls and what has a directive."""
    if isinstance(value, dict):
        for name, one in list(value.items()):
            if one is None or _has_directive(one):
                del value[name]
            else:
                value[name] = _plain(one)
        return value
    return [_plain(one) for one in value if not _has_directive(one)] if isinstance(value, list) else value


def _has_directive(value: Any) -> bool:
    return isinstance(value, dict) and PATCH in value


def _as_directed(change: dict) -> dict:
    if change[PATCH] == "replace":
        del change[PATCH]
        return change
    if change[PATCH] == "delete":
        return {}
    raise _bad_directive(change)


def _retained(target: dict, change: dict) -> dict:
    """Return what of target may stay; the patch itself may set nothing else."""
    retained = change.pop(RETAIN)
    sets = [
        name for name, value in change.items() if value is not None and not name.startswith((SET_ORDER, DELETE_FROM))
    ]
    if not isinstance(retained, list) or any(name not in retained for name in sets):
        raise errors.bad_request("invalid patch format of retainKeys")
    return {name: value for name, value in target.items() if name in retained}


# --- lists


def _merge_list(held: list, change: list, info: schema.FieldInfo, is_deletion: bool) -> list:
    if not held and not change:
        return held
    key = info.patch_merge_key
    if _element_type(held, change) is not dict:
        if is_deletion:
            return [each for each in held if each not in change]
        return _ordered(_distinct([*held, *change]), change, held, "")
    if not key:
        raise _unmergeable("cannot merge lists without merge key for struct")
    held, change = _without_directed(held, change, key)
    return _ordered(_merge_objects(held, change, info), change, held, key)


def _without_directed(held: list, change: list, key: str) -> tuple[list, list]:
    """Return both lists after the directives of the patch's elements."""
    plain = [each for each in change if PATCH not in each]
    for each in change:
        directive = each.get(PATCH, "replace")
        if directive == "merge":
            raise _unmergeable("merging lists cannot yet be specified in the patch")
        if directive not in ("replace", "delete"):
            raise _bad_directive(each)
        if directive == "delete":
            value = _key_of(each, key)
            held = [one for one in held if key not in one or one[key] != value]
    return (plain, []) if any(each.get(PATCH) == "replace" for each in change) else (held, plain)


def _merge_objects(held: list, change: list, info: schema.FieldInfo) -> list:
    key, result = info.patch_merge_key, list(held)
    for each in change:
        value = _key_of(each, key)
        at = next((at for at, one in enumerate(result) if key in one and one[key] == value), None)
        if at is None:
            result.append(each)
        else:
            result[at] = strategic_merge(result[at], each, info.definition)
    return result


def _merge_in_order(target: dict, change: dict, directive: str, definition: str | None) -> None:
    """Merge a list, if there is one, and put it into the order that a patch asks for."""
    order = _list(change.pop(directive))
    name = _list_named(directive, SET_ORDER, "setElementOrder")
    held, given = ([_list(each[name])] if name in each else [] for each in (target, change))
    info = _field(definition, name)
    _check_order(given, order, info.patch_merge_key)
    if not held and not given:
        return
    if held and given and "merge" in info.patch_strategy:
        merged = _merge_list(held[0], given[0], info, False)
    else:
        merged = given[0] if held and given else held[0] if held else _plain(given[0])
    if info.patch_merge_key:
        _check_keys(merged, order, info.patch_merge_key)
    _element_type(*held, *given)
    target[name] = _ordered(merged, order, held[0] if held else [], info.patch_merge_key)
    change.pop(name, None)


def _check_order(given: list[list], order: list, key: str) -> None:
    """Refuse an order that lacks what the patch sets."""
    if not order or not given or not given[0]:
        return
    places = iter(order)
    for each in given[0]:
        wanted = _key_of(_dict(each), key) if key and not _has_directive(each) else each
        if not _has_directive(each) and not any((_key_of(_dict(one), key) if key else one) == wanted for one in places):
            patch, wanted = as_go_prints(given[0]), as_go_prints(order)
            raise _unmergeable(f"The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{wanted}\n")


def _check_keys(merged: list, order: list, key: str) -> None:
    for each in merged:
        value = _key_of(_dict(each), key)
        for at, one in enumerate(order):
            if not isinstance(one, dict):
                raise _unmergeable(f"value for key {at} is not a map")
            if one.get(key) == value:
                break
    for each in order:
        _key_of(_dict(each), key)


def _ordered(merged: list, order: list, held: list, key: str) -> list:
    """Return a merged list in the order that the patch asks for, or has itself.

    What the patch does not name keeps its order, and stands before what it once stood before, as upstream has it.
    """
    rank, place = ({_identity(given[at], key): at for at in reversed(range(len(given)))} for given in (order, held))
    named = sorted(
        (each for each in merged if _identity(each, key) in rank), key=lambda each: rank[_identity(each, key)]
    )
    rest = [each for each in merged if _identity(each, key) not in rank]
    rest.sort(key=lambda each: place.get(_identity(each, key), -1))
    result: list = []
    while named and rest:
        at, other = (place.get(_identity(each[0], key)) for each in (named, rest))
        stays = at is not None and other is not None and other < at
        result.append((rest if stays else named).pop(0))
    return [*result, *named, *rest]


def _identity(item: Any, key: str) -> bytes:
    return orjson.dumps(item.get(key) if key and isinstance(item, dict) else item)


def _distinct(items: list) -> list:
    return list({_identity(each, ""): each for each in reversed(items)}.values())[::-1]


def _element_type(*lists: list) -> type:
    """Return the one type of all elements."""
    found = [type(each) for items in lists for each in items]
    if not found:
        raise _unmergeable("no elements in any of the given slices")
    if found[0] in (list, type(None)):
        raise Unpatchable("lists of lists are not supported")
    if len(set(found)) > 1:
        raise _unmergeable(f"list element types are not identical: {as_go_prints(list(lists))}")
    return found[0]


# --- what cannot be merged


def _field(definition: str | None, name: str) -> schema.FieldInfo:
    """Return what is known of a field in which something is merged."""
    if definition is None:
        raise _unmergeable("merging an object in json but data type is not struct, instead is: map")
    info = schema.field(definition, name)
    if info is schema.UNKNOWN:
        struct = definition.rpartition(".")[2]
        raise _unmergeable(f'unable to find api field in struct {struct} for the json field "{name}"')
    return info


def _list_named(directive: str, prefix: str, kind: str) -> str:
    if not directive.startswith(f"{prefix}/"):
        raise errors.bad_request(f"invalid patch format of {kind} list")
    return directive[len(prefix) + 1 :]


def _list(value: Any) -> list:
    if not isinstance(value, list):
        raise _unexpected(list, value)
    return value


def _dict(value: Any) -> dict:
    if not isinstance(value, dict):
        raise _unexpected(dict, value)
    return value


def _key_of(item: dict, key: str) -> Any:
    if key not in item:
        raise _unmergeable(f"map: {as_go_prints(item)} does not contain declared merge key: {key}")
    return item[key]


def _unexpected(wanted: type, value: Any) -> ApiError:
    given = "%!s(<nil>)" if value is None else GO_TYPES.get(type(value), "float64")
    return _unmergeable(f"expected a {GO_TYPES[wanted]}, but received a {given}")


def _bad_directive(change: dict) -> ApiError:
    directive = change[PATCH]
    told = as_go_prints(directive)
    if directive is None or isinstance(directive, bool | int | float):
        told = f"%!s({told})" if directive is None else f"%!s({GO_TYPES.get(type(directive), 'float64')}={told})"
    return _unmergeable(f"unknown patch type: {told} in map: {as_go_prints(change)}")


def _unmergeable(told: str) -> ApiError:
    return ApiError(500, "", told)
