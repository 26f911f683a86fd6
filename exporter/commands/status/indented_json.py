"""JSON with an indent of two, byte for byte as the standard library writes it, but encoded in C.

With an indent, the standard library encodes in Python. So neighbours that hold no mapping and no
list are encoded together and without one, by an encoder whose separator is the line break and
the indent of their depth. Pure; no I/O.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

_CONTAINERS = frozenset({dict, list, tuple})


def indented(value: Any, depth: int = 0) -> str:
    """The text of plain data; raises ValueError for what JSON cannot say, such as NaN."""
    if not value or type(value) not in _CONTAINERS:
        return _encoder(depth).encode(value)
    is_mapping = type(value) is dict
    opening, closing = "{}" if is_mapping else "[]"
    line = _line(depth + 1)
    if _CONTAINERS.isdisjoint(map(type, value.values() if is_mapping else value)):
        items = _encoder(depth + 1).encode(value)[1:-1]
    elif is_mapping:
        items = f",{line}".join(_items(value, depth + 1))
    else:
        items = f",{line}".join(indented(item, depth + 1) for item in value)
    return f"{opening}{line}{items}{_line(depth)}{closing}"


def _items(mapping: dict[str, Any], depth: int) -> Iterator[str]:
    """The texts of the items, those between containers together."""
    encode = _encoder(depth).encode
    plain: dict[str, Any] = {}
    for key, item in mapping.items():
        if type(item) not in _CONTAINERS:
            plain[key] = item
            continue
        if plain:
            yield encode(plain)[1:-1]
            plain = {}
        yield f"{encode(key)}: {indented(item, depth)}"
    if plain:
        yield encode(plain)[1:-1]


def _line(depth: int) -> str:
    return "\n" + "  " * depth


@cache
def _encoder(depth: int) -> json.JSONEncoder:
    return json.JSONEncoder(separators=(f",{_line(depth)}", ": "), allow_nan=False)
