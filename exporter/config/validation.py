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


_TEXTS = {
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
    "too_long": "longer than {max_length}",
    "string_too_long": "longer than {max_length}",
    "float_type": DURATION_EXPECTED,
    "literal_error": "expected one of {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}
"""What is said of each type of error, with its context."""


def mistakes_of(
    error: ValidationError, known: Iterable[Mistake], whole: str = "a mapping with the key roots"
) -> Iterator[Mistake]:
    """A mistake for each of pydantic's errors, but none for a place that is among the `known`
    mistakes. `whole` is what the file as a whole should be."""
    known_places = {mistake.location for mistake in known}
    for item in error.errors(include_url=False, include_input=False):
        location = tuple(part for part in item["loc"] if not str(part).startswith("function-"))
        text = _TEXTS.get(item["type"], "not valid").format(**item.get("ctx", {}))
        if item["type"] == "model_type" and location[:1] == ("roots",):
            text = "expected a path, a URL, or a mapping with the key url"
        elif item["type"] == "model_type" and not location:
            text = f"expected {whole}"
        if location not in known_places:
            yield Mistake(location, text)
