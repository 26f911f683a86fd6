"""Models of pydantic, and its complaints in our own words.

pydantic's own texts may quote the value, which may be a secret.
"""

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, ValidationError

from exporter.config.durations import DURATION_EXPECTED
from exporter.errors import Mistake


class StrictModel(BaseModel):
    """A mapping with known keys only, whose values are not converted from other types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_TEXT_BY_TYPE = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "string_type": "expected text (put it in quotes)",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "float_type": DURATION_EXPECTED,
}


def mistakes_of(
    error: ValidationError, known: Iterable[Mistake], whole: str = "a mapping with the key roots"
) -> Iterator[Mistake]:
    """A mistake for each of pydantic's errors, but none for a place that is among the `known`
    mistakes. `whole` is what the file as a whole should be."""
    known_places = {mistake.location for mistake in known}
    for item in error.errors(include_url=False, include_input=False):
        location = tuple(part for part in item["loc"] if not str(part).startswith("function-"))
        context = item.get("ctx", {})
        kind = item["type"]
        if kind == "value_error":
            text = str(context["error"])
        elif kind == "literal_error":
            text = f"expected one of {context['expected']}"
        elif kind in ("greater_than_equal", "less_than_equal"):
            bound = "at least" if kind == "greater_than_equal" else "at most"
            text = f"must be {bound} {context.get('ge', context.get('le'))}"
        elif kind in ("too_long", "string_too_long"):
            text = f"longer than {context['max_length']}"
        elif kind == "model_type" and location[:1] == ("roots",):
            text = "expected a path, a URL, or a mapping with the key url"
        else:
            text = _TEXT_BY_TYPE.get(kind, "not valid")
        if not location and kind == "model_type":
            text = f"expected {whole}"
        if location not in known_places:
            yield Mistake(location, text)
