"""HTML that no text can break: what is not markup built here is escaped.

The types carry the promise. A ``str`` is text and is escaped wherever it is put; ``Html``
is finished markup; names of elements and attributes must be literals of the program, so
neither can be born from data.
"""

import html
import re
from dataclasses import dataclass
from typing import LiteralString

_EMPTY = frozenset({"input", "link", "meta", "wbr"})  # elements without an end tag
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
# What HTML forbids in a document, and carriage returns, which it would change.


@dataclass(frozen=True, slots=True)
class Html:
    """Finished markup."""

    source: str

    def __str__(self) -> str:
        return self.source


Content = str | Html
Attribute = str | int | bool | None


def element(tag: LiteralString, /, *content: Content, **attributes: Attribute) -> Html:
    """One element. Attributes: True is written without a value, None and False not at
    all; ``_`` becomes ``-``, and one at the end of a Python keyword is dropped."""
    start = tag + "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _EMPTY:
        return Html(f"<{start}>")
    return Html(f"<{start}>{''.join(map(_source, content))}</{tag}>")


def join(*content: Content) -> Html:
    """Contents one after another."""
    return Html("".join(map(_source, content)))


def text(value: str) -> str:
    """The source of a text, in an element or a quoted attribute. Characters that HTML
    forbids become U+FFFD."""
    return html.escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value), quote=True)


def _source(content: Content) -> str:
    return content.source if isinstance(content, Html) else text(content)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'
