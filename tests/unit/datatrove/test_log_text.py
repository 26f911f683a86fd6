"""Lines of logs, whatever is in them."""

import pytest

from exporter.datatrove.log_text import plain_lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"\x1b[31m\x1b[1mRuntimeError\x1b[0m:\x1b[1m \x1b[31mred\x1b[0m", ["RuntimeError: red"]),
        (b"\x1b]0;a title\x07text\x1b]8;;x\x1b\\more", ["textmore"]),
        (b"[NODE 1] one\r\n[NODE 12] two", ["one", "two"]),
        (b"[NODE x] kept", ["[NODE x] kept"]),
        (b"half \xff\xfe a name", ["half \ufffd\ufffd a name"]),
        (b"", [""]),
        (b"cut short \x1b[3", ["cut short [3"]),
    ],
)
def test_lines_come_without_escape_sequences_and_node_numbers(
    data: bytes, lines: list[str]
) -> None:
    assert plain_lines(data) == lines


def test_a_flood_of_begun_escape_sequences_is_read_once() -> None:
    """Each begins where the one before ended: no byte is looked at for every byte before it."""
    assert plain_lines(b"\x1b]" * 32_768 + b"\nend")[-1] in ("end", "")
    assert plain_lines(b"\x1b[" * 32_768 + b"\nend")[-1].endswith("end")
