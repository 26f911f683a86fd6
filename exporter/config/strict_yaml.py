"""A YAML text as plain data, and the line of each part of it.

YAML is read as data only: no tags, anchors, aliases or merge keys (ten lines of aliases can
fill any memory), no duplicate keys, one document, at most `LIMIT_BYTES`. A message never
quotes a value: the file holds secrets.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import yaml

from exporter.errors import ConfigError, Location, Mistake

LIMIT_BYTES = 1024 * 1024
_DEPTH_LIMIT = 32
_NUMBER_LIMIT = 1000  # characters; YAML's base 60 costs the square of the length

_OVER_LINES = (
    "a text without quotes goes on in the next line: is that indented too far, or lacks its colon?"
)
_WHYS = {
    # What the library's text has -> why.
    "'\\t' that cannot start": "a tab where spaces belong",
    "cannot start any token": "a character that must be in quotes",
    "mapping values are not allowed": "a colon in a text that has no quotes, or goes on from above",
    "expected <block end>": "indented unlike the lines above",
    "could not find expected ':'": "a key that no colon follows",
    "expected ',' or ']'": "a [ without its ]",
    "expected ',' or '}'": "a { without its }",
    "unexpected end of stream": "a quote without its end",
    "unknown escape character": "in double quotes \\ begins an escape; use single quotes",
}
_TOLD_FROM_WHERE_IT_BEGAN = ("a [", "a {", "a quote", "a key")


def _not_valid(error: yaml.MarkedYAMLError) -> Mistake:
    """In our words: the library's text quotes what stands there."""
    problem, began, ended = error.problem or "", error.context_mark, error.problem_mark
    why = next((why for text, why in _WHYS.items() if text in problem), "")
    mark = (began or ended) if why.startswith(_TOLD_FROM_WHERE_IT_BEGAN) else (ended or began)
    place = f" near column {mark.column + 1}" if mark else ""
    text = f"not valid YAML{place}{': ' * bool(why)}{why}"
    return Mistake((), text, mark.line + 1 if mark else None)


class ParsedYaml:
    """A YAML text as plain data: its `value`, the `lines` of its parts, and the `mistakes`
    beside which it could still be read."""

    def __init__(self, data: bytes, source: str, line_breaks_at: Collection[Location] = ()) -> None:
        """Raises ConfigError, in the name of the file `source`, if nothing can be read.
        `line_breaks_at` are the places where a text may have several lines."""
        self._line_breaks_at = line_breaks_at
        self.lines: dict[Location, int] = {}
        self.mistakes: list[Mistake] = []
        self.value: object = None
        try:
            refusal = self._read(data)
        except UnicodeDecodeError as error:
            refusal = Mistake((), "not UTF-8", data.count(b"\n", 0, error.start) + 1)
        except yaml.MarkedYAMLError as error:
            refusal = _not_valid(error)
        except yaml.YAMLError:
            refusal = Mistake((), "not valid YAML")
        except RecursionError:
            refusal = Mistake((), "nested too deeply")
        if refusal is not None:
            raise ConfigError(source, [refusal])

    def locate(self, mistake: Mistake) -> Mistake:
        """The mistake, with the line of its place or of the nearest part around that."""
        place = mistake.location
        while place and place not in self.lines:
            place = place[:-1]
        return replace(mistake, line=mistake.line or self.lines.get(place))

    def _read(self, data: bytes) -> Mistake | None:
        """Read the text, if it is data only and not too large; else return what is wrong."""
        if len(data) > LIMIT_BYTES:
            return Mistake((), f"larger than {LIMIT_BYTES} bytes")
        text = data.decode("utf-8")
        refusal = _more_than_data(text)
        if refusal is None and (node := yaml.compose(text, yaml.SafeLoader)) is not None:
            self.value = self._data_of(node, ())
        return refusal

    def _data_of(self, node: yaml.Node, location: Location) -> object:
        self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._data_of(item, (*location, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping_of(node, location)
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar_of(node, location)

    def _mapping_of(self, node: yaml.MappingNode, location: Location) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key, place = key_node.value, location
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key is not text"
            elif not key.isprintable():
                problem = "a key holds characters that cannot be printed"
            elif key_node.tag == "tag:yaml.org,2002:merge":
                problem = "merge keys are not supported"
            elif key in mapping:
                place, problem = (*location, key), "appears twice"
            else:
                place = (*location, key)
                self.lines[place] = line
                mapping[key] = self._data_of(value_node, place)
                continue
            self.mistakes.append(Mistake(place, problem, line))
        return mapping

    def _scalar_of(self, node: yaml.ScalarNode, location: Location) -> object:
        """Null, boolean, integer and fraction as YAML reads them; all else is text."""
        kind = node.tag.rpartition(":")[2]
        if kind not in ("null", "bool", "int", "float"):
            line_break = "\n" if location in self._line_breaks_at else ""
            if not node.value.replace(line_break, "").isprintable():
                self.mistakes.append(Mistake(location, "holds characters that cannot be printed"))
            return node.value
        with suppress(ValueError, OverflowError):
            if len(node.value) <= _NUMBER_LIMIT:
                return yaml.SafeLoader("").construct_object(node)
        self.mistakes.append(Mistake(location, "not a number that can be used"))
        return None


def _more_than_data(text: str) -> Mistake | None:
    """What is more than data in a text, found before anything is built from it."""
    depth, documents, over_lines = 0, 0, None
    for event in yaml.parse(text, yaml.SafeLoader):
        problem = None
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            problem = "anchors and aliases are not supported"
        elif getattr(event, "tag", None):
            problem = "tags are not supported"
        elif isinstance(event, yaml.ScalarEvent):
            over_lines = over_lines or _over_lines(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            problem = "only one YAML document is allowed" if documents > 1 else None
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            problem = "nested too deeply" if depth > _DEPTH_LIMIT else None
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if problem:
            return Mistake((), problem, event.start_mark.line + 1 if event.start_mark else None)
    return over_lines  # what is no YAML at all is so for a reason that says more


def _over_lines(event: Any) -> Mistake | None:
    """The mistake of a text that has no quotes and more than one line."""
    began, ended = event.start_mark.line, event.end_mark.line
    is_one = not event.style and ended > began
    return Mistake((), _OVER_LINES, began + 1) if is_one else None
