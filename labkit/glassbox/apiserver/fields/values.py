"""Walks over a value along its shape: which fields it has, what differs, what merging and removing make of it.

null counts as an empty map or list. A list whose items are told apart is walked by their elements; of items of the
same element the first counts. What two values have in common is told by one comparison and never walked.

Upstream: sigs.k8s.io/structured-merge-diff/typed/{validate,tofieldset,compare,merge,remove}.go
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from labkit.glassbox.apiserver.fields.sets import SELF, Fields, below, key_element, owned, put, text, value_element
from labkit.glassbox.apiserver.fields.shapes import Shape

OMITS = 'associative list with keys has an element that omits key field "{}" (and doesn\'t have default value)'
MISSING: Any = object()
GO_KINDS = {"string": "string", "numeric": "numeric (int or float)", "boolean": "boolean"}
PYTHON_KINDS: dict[str, Any] = {"string": str, "numeric": int | float, "boolean": bool}


def element_of(shape: Shape, item: Any) -> str:
    """Return the path element of a list's item. Raises ValueError as upstream words it."""
    if shape.kind == "set":
        if isinstance(item, dict | list) or item is None:
            what = "an explicit null" if item is None else "a map type" if isinstance(item, dict) else "a list type"
            raise ValueError(f"associative list without keys has an element that's {what}")
        return value_element(item)
    if not isinstance(item, dict):
        what = "a null element" if item is None else "non-map elements"
        raise ValueError(f"associative list with keys may not have {what}")
    keys = {}
    for key in shape.keys:
        keys[key] = item.get(key, shape.defaults.get(key))
        if keys[key] is None:
            raise ValueError(OMITS.format(key))
    return key_element(keys)


def elements(shape: Shape, items: list) -> Iterator[tuple[str, Any]]:
    """Yield each item with its element; one without its keys has none, and is in no set."""
    for item in items:
        try:
            yield element_of(shape, item), item
        except ValueError:
            yield "", item


def items_of(shape: Shape, items: list) -> dict[str, Any]:
    """Return element → item, in the list's order."""
    found: dict[str, Any] = {}
    for element, item in elements(shape, items):
        found.setdefault(element, item)
    found.pop("", None)
    return found


def children(shape: Shape, value: Any) -> dict[str, tuple[Any, Shape | None]]:
    """Return element → (value, shape) of what is directly in a value that is no leaf."""
    if isinstance(value, dict):
        return {f"f:{name}": (item, shape.field(name)) for name, item in value.items()}
    return {element: (item, shape.element) for element, item in items_of(shape, value).items()}


def is_leaf(shape: Shape | None, value: Any) -> bool:
    """Tell whether a value is one field, whatever is in it."""
    if shape is None or shape.leaf or not value:
        return True
    if shape.kind in ("any", "map"):
        return not isinstance(value, dict)
    return not isinstance(value, list)


# -- the fields of a value


def everything(shape: Shape | None, value: Any) -> Fields:
    """Return what is owned at a value that one has brought in: itself and all beneath."""
    if is_leaf(shape, value):
        return {}
    found: Fields = {SELF: {}}
    for element, (item, of) in children(shape, value).items():  # type: ignore[arg-type]
        found[element] = everything(of, item)
    return found


def fields_of(shape: Shape, value: Any) -> Fields:
    """Return the fields that an applied value names: leaves, entries of maps, items of lists."""
    found: Fields = {}
    of_map = isinstance(value, dict)
    for element, (item, of) in children(shape, value).items():
        if is_leaf(of, item):
            if item != [] or of is None or of.leaf:
                put(found, element, True, {})
        else:
            itself = not of_map or shape.declared(element[2:]) is None
            put(found, element, itself, fields_of(of, item))  # type: ignore[arg-type]
    return found


def with_structs(shape: Shape, fields: Fields) -> Fields:
    """Return the set with the structs' fields themselves, of which sets hold only what is beneath."""
    found: Fields = {}
    for element, node in fields.items():
        if element[:2] == "f:":
            of, named = shape.field(element[2:]), shape.declared(element[2:]) is not None
        else:
            of, named = shape.element, False
        beneath = below(node)
        put(found, element, owned(node) or named, with_structs(of, beneath) if of and beneath else beneath)
    return found


def compare(shape: Shape, old: Any, new: Any) -> tuple[Fields, Fields]:
    """Return which fields a change has set, anew or otherwise, and which it has removed."""
    changed: Fields = {}
    removed: Fields = {}
    of_map = isinstance(old or new, dict)
    before, after = (_named(shape, each or ({} if of_map else [])) for each in (old, new))
    for name, item in after.items():
        held = before.get(name, MISSING)
        if held == item:
            continue
        of = shape.field(name) if of_map else shape.element
        element = f"f:{name}" if of_map else name
        if held is MISSING:
            changed[element] = everything(of, item)
        elif of is None or of.leaf or not _same_kind(held, item):
            changed[element] = {}
        else:
            inner, gone = compare(of, held, item)
            put(changed, element, False, inner)
            put(removed, element, False, gone)
    for name in before.keys() - after.keys():
        of = shape.field(name) if of_map else shape.element
        removed[f"f:{name}" if of_map else name] = everything(of, before[name])
    return changed, removed


def _named(shape: Shape, value: Any) -> dict[str, Any]:
    """Return what is in a value by name, or by element."""
    return value if isinstance(value, dict) else items_of(shape, value)


def _same_kind(one: Any, other: Any) -> bool:
    """Tell whether both are maps, or both lists; null is either."""
    present = [each for each in (one, other) if each is not None]
    return bool(present) and any(all(isinstance(each, kind) for each in present) for kind in (dict, list))


# -- merging and removing


def merge(shape: Shape | None, live: Any, applied: Any) -> Any:
    """Return a live value with an applied one merged in."""
    if shape is None or shape.leaf or not _same_kind(live, applied):
        return applied
    if applied is None or live is None:
        return applied if live is None else live
    if isinstance(applied, dict):
        result = dict(live)
        for name, item in applied.items():
            result[name] = merge(shape.field(name), live[name], item) if name in live else item
        return result
    if shape.kind == "any":
        return applied
    return _merge_lists(shape, live, items_of(shape, applied))


def _merge_lists(shape: Shape, live: list, after: dict[str, Any]) -> list:
    """Return a live list with applied items merged in; an applied item replaces all of its element."""
    before: dict[str, Any] = {}
    for element, item in elements(shape, live):
        if element not in before:
            before[element] = item
        elif element not in after:
            before[f"{element} {len(before)}"] = item
    return [
        merge(shape.element, before[each], after[each]) if each in before and each in after
        else after.get(each, before.get(each))
        for each in merged_order(list(before), list(after))
    ]  # fmt: skip


def merged_order(before: list[str], after: list[str]) -> list[str]:
    """Return the elements of both in the order of after; the rest of before stays ahead of what it stood ahead of."""
    given, held = set(after), set(before)
    shared = [*(each for each in after if each in held), None]
    rest, result = deque(before), []
    for each in [*after, None]:
        while rest and rest[0] != shared[0]:
            mine = rest.popleft()
            if mine not in given:
                result.append(mine)
        if each is None:
            break
        result.append(each)
        if each == shared[0]:
            shared.pop(0)
            if rest:
                rest.popleft()
    return result


def remove(shape: Shape | None, value: Any, fields: Fields) -> Any:
    """Return a value without these fields; what is left empty is null."""
    if not fields or not value or not isinstance(value, dict | list) or shape is None:
        return value
    if shape.atomic:
        return None
    if isinstance(value, dict):
        kept = {}
        for name, item in value.items():
            node = fields.get(f"f:{name}")
            if node is None:
                kept[name] = item
            elif not owned(node):
                kept[name] = remove(shape.field(name), item, node)
        return kept or None
    left = []
    for element, item in elements(shape, value):
        node = fields.get(element)
        if node is None:
            left.append(item)
        elif not owned(node):
            left.append(remove(shape.element, item, node))
    return left or None


# -- what is wrong with an applied value


def faults(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield what of a value does not fit its shape, each with its path, in upstream's words."""
    if value is None or shape.kind in ("any", "untyped"):
        return
    if shape.kind in GO_KINDS:
        fits = isinstance(value, PYTHON_KINDS[shape.kind]) and (shape.kind != "numeric" or not isinstance(value, bool))
        if not fits:
            yield f"{path}: expected {GO_KINDS[shape.kind]}, got {go_value(value)}"
    elif shape.kind == "map":
        yield from _map_faults(shape, value, path)
    else:
        yield from _list_faults(shape, value, path)


def listed(faults: list[str]) -> str:
    """Return several faults as upstream lists them."""
    return faults[0] if len(faults) == 1 else "\n  ".join(["errors:", *faults])


def _map_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: expected map, got {go_value(value)}"
        return
    for name, item in value.items():
        of = shape.field(name)
        if of is None:
            yield f"{path}.{name}: field not declared in schema"
        else:
            yield from faults(of, item, f"{path}.{name}")


def _list_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: expected list, got {go_value(value)}"
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        element = f"i:{index}"
        if not shape.atomic:
            try:
                element = element_of(shape, item)
            except ValueError as error:
                yield f"{path}: element {index}: {error}"
                continue
            if element in seen:
                yield f"{path}: duplicate entries for key {text((element,))}"
            seen.add(element)
        yield from faults(shape.element, item, path + text((element,)))  # type: ignore[arg-type]


def go_value(value: Any) -> str:
    return f"&value.valueUnstructured{{Value:{_go_syntax(value)}}}"


def _go_syntax(value: Any) -> str:
    """Return a JSON value as Go's %#v prints it."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_go_syntax(name)}:{_go_syntax(value[name])}" for name in sorted(value))
        return f"map[string]interface {{}}{{{inner}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_syntax, value))}}}"
    if value is None:
        return "interface {}(nil)"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)
