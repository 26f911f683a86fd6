"""The body of a scrape, put together from what was compressed once."""

import gzip
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics import exposition
from exporter.metrics.exposition import Block, Exposition, in_pieces

FAMILIES = {
    "small": [b"# HELP small\n", b"small 1\n"],
    "large": [b"# HELP large\n", b"large 1\n" * 5000, b"large 2\n" * 9000],
    "empty": [b"# HELP empty\n", b""],
}


def exposition_of(families: dict[str, list[bytes]]) -> Exposition:
    return Exposition([(name, [Block(raw) for raw in raws]) for name, raws in families.items()])


@given(st.lists(st.binary(max_size=300), max_size=6), st.binary(max_size=50), st.data())
def test_families_that_were_compressed_apart_make_a_page(
    families: list[bytes], live: bytes, data: st.DataObject
) -> None:
    """gzip's own checks hold: the checksum over the whole, and its length."""
    page = exposition_of({str(number): [raw] for number, raw in enumerate(families)})
    names = data.draw(st.frozensets(st.sampled_from([*map(str, range(len(families))), "nosuch"])))
    plain = b"".join(page.body(live, names))
    assert gzip.decompress(b"".join(page.gzip_body(live, names))) == plain


def test_a_family_is_compressed_once_whoever_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filtered scrape costs no more than what is true at its moment only."""
    page = exposition_of(FAMILIES)
    compressed: list[int] = []
    real = zlib.compressobj

    def compressobj(*arguments: int) -> object:
        compressed.append(1)
        return real(*arguments)

    monkeypatch.setattr(exposition.zlib, "compressobj", compressobj)
    for names in (FAMILIES.keys(), ["large"], ["small", "large"], ["large", "empty"]):
        page.gzip_body(b"", frozenset(names))
    compressed.clear()
    for names in (FAMILIES.keys(), ["large"], ["small", "large"], ["large", "empty"]):
        body = page.gzip_body(b"live 1\n", frozenset(names))
        assert gzip.decompress(b"".join(body)) == b"".join(page.body(b"live 1\n", frozenset(names)))
    assert len(compressed) == 4, "the end of each"


@given(st.lists(st.binary(max_size=400_000), max_size=4))
def test_pieces_are_the_same_bytes_and_none_is_large(raws: Sequence[bytes]) -> None:
    pieces = list(in_pieces(raws))
    assert b"".join(pieces) == b"".join(raws)
    assert len(pieces) <= 1 + 2 * len(b"".join(raws)) / (128 * 1024)
    assert all(0 < len(piece) <= 128 * 1024 for piece in pieces)
