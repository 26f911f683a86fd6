"""Markup that no text can break."""

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.web.markup import Html, element, join


class Reader(HTMLParser):
    """Elements, attributes and texts of a document."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(), st.text())
@example('"><script>', "</p><script>")
@example("' onclick='", "&lt;&#x3c;<!--")
def test_text_comes_back_as_text_and_nothing_else_does(value: str, content: str) -> None:
    read = Reader(element("p", content, title=value).source)
    assert [(tag, set(attributes)) for tag, attributes in read.elements] == [("p", {"title"})]
    printable = "".join(c for c in content + value if c.isprintable() or c in "\n\t ")
    shown = read.text + (read.elements[0][1]["title"] or "")
    if printable == content + value:
        assert shown == printable


def test_what_html_forbids_is_replaced() -> None:
    assert element("p", "a\0b\rc\ud800d\ufffee").source == "<p>a\ufffdb\ufffdc\ufffdd\ufffde</p>"


def test_markup_inside_markup_stays_markup() -> None:
    inner = element("b", "<")
    assert element("p", inner, " & ").source == "<p><b>&lt;</b> &amp; </p>"
    assert str(join("<", inner)) == "&lt;<b>&lt;</b>"


def test_attributes_are_written_as_html_has_them() -> None:
    assert element("input", type="text", checked=True, hidden=False, value=None) == Html(
        '<input type="text" checked>'
    )
    assert element("label", for_="x", data_copy=1).source == '<label for="x" data-copy="1"></label>'
