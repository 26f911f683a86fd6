"""Models of pydantic, and its complaints in our own words.

pydantic's own texts may quote the value, which may be a secret.
"""

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from exporter.config.durations import DURATION_EXPECTED
from exporter.errors import Location, Mistake, did_you_mean


class StrictModel(BaseModel):
    """A mapping with known keys only, whose values are not converted from other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_TEXTS = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "string_type": "expected text (put it in quotes)",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list, in [ ] or with - on a line for each",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "too_long": "longer than {max_length}",
    "string_too_long": "longer than {max_length}",
    "float_type": DURATION_EXPECTED,
    "literal_error": "expected one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
"""What is said of each type of error, with its context."""
_KEYS_TOLD = 8


def mistakes_of(
    error: ValidationError,
    model: type[BaseModel],
    known: Iterable[Mistake],
    whole: str = "the key roots and its list, as in roots: [/data/logs]",
) -> Iterator[Mistake]:
    """A mistake for each error of the `model` of a whole file, but none for a place that is among
    the `known` mistakes. `whole` is what the file as a whole should be."""
    known_places = {mistake.location for mistake in known}
    for item in error.errors(include_url=False, include_input=False):
        location = tuple(part for part in item["loc"] if not str(part).startswith("function-"))
        text = _TEXTS.get(item["type"], "not valid").format(**item.get("ctx", {}))
        if item["type"] == "model_type" and location[:1] == ("roots",):
            text = "expected a path, a URL, or a mapping with the key url"
        elif item["type"] == "model_type" and not location:
            text = f"expected {whole}"
        elif item["type"] == "extra_forbidden":
            text += _meant(model, location)
        if location not in known_places:
            yield Mistake(location, text)


def _meant(model: type[BaseModel], location: Location) -> str:
    """Which key of the `model` was probably meant by an unknown one: one that is like it, or the
    same in another place; else one of all that there are, if they are few."""
    key, keys = str(location[-1]), _keys_at(model, location[:-1])
    if like := did_you_mean(key, keys):
        return like
    if place := next(_places_of(key, model), None):
        return f"; did you mean {place}?"
    return f"; there are {', '.join(keys)}" if len(keys) <= _KEYS_TOLD else ""


def _places_of(key: str, model: type[BaseModel]) -> Iterator[str]:
    """Where a file may have the key, sections first."""
    for section, field in reversed(model.model_fields.items()):
        inner = _model_in(field.annotation)
        entry = "" if inner is field.annotation else "[…]"
        for name, own in inner.model_fields.items() if inner else ():
            if key in (name, own.alias):
                yield f"{section}{entry}.{own.alias or name}"


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """The keys that the mapping at this place may have."""
    for part in location:
        fields = {field.alias or name: field for name, field in model.model_fields.items()}
        if isinstance(part, str) and (inner := _model_in(fields[part].annotation)):
            model = inner
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a type is, or is made of; the entries' of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
