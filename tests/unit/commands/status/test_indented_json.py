"""The text of ``status --json``, beside that of the standard library."""

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.commands.status.indented_json import indented

_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_SCALARS = _SCALARS.filter(lambda value: value not in (math.inf, -math.inf))
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30
)


@given(_VALUES)
@example({"a": 1, "b": [], "c": [{"first": 1, "last": 2}], "d": None, "e": {"f": {}}})
@example([1, (2, 3), "r😀\n\u202e", []])
def test_the_text_is_byte_for_byte_that_of_the_standard_library(value: object) -> None:
    assert indented(value) == json.dumps(value, indent=2, allow_nan=False)


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": [{"b": -math.inf}]}])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        indented(value)
