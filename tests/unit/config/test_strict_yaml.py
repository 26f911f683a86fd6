"""YAML as data only: what is read, what is refused, and how little that costs."""

import json
import subprocess
import sys
import traceback

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.strict_yaml import LIMIT_BYTES, ParsedYaml
from exporter.errors import ConfigError, Mistake

SEXAGESIMAL_FRACTION = b"a: 1" + b":59" * 300 + b".0"


def value_of(text: str | bytes) -> object:
    data = text.encode() if isinstance(text, str) else text
    parsed = ParsedYaml(data, "config.yaml")
    assert parsed.mistakes == []
    return parsed.value


def refusal_of(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        ParsedYaml(data, "config.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("no", False),
        ("on", True),
        ("off", False),
        ("y", "y"),
        ("~", None),
        ("", None),
        ("'yes'", "yes"),
        ('"010"', "010"),
        ("010", 8),
        ("0o10", "0o10"),
        ("0x10", 16),
        ("1_000", 1000),
        ("1:30", 90),
        ("1:30.5", 90.5),
        (".5", 0.5),
        (".inf", float("inf")),
        ("1e3", "1e3"),
        ("9" * 300, int("9" * 300)),
        ("2020-01-01", "2020-01-01"),
        ("2020-99-99", "2020-99-99"),
        ("=", "="),
        ("<<", "<<"),
        ("${A}", "${A}"),
        ("http://x:1/#y", "http://x:1/#y"),
        ("x # y", "x"),
        ("[1, [], {}]", [1, [], {}]),
    ],
)
def test_a_scalar_is_what_yaml_1_1_makes_of_it_and_never_a_date(text: str, value: object) -> None:
    read = value_of(f"a: {text}\n")
    assert read == {"a": value}
    assert type(read["a"]) is type(value)  # type: ignore[index]


@pytest.mark.parametrize("prefix", ["", "---\n", "%YAML 1.1\n---\n", "\N{BOM}", "# a\n"])
@pytest.mark.parametrize("suffix", ["", "\n", "\n...\n", "\r\n"])
def test_what_may_surround_one_document(prefix: str, suffix: str) -> None:
    assert value_of(f"{prefix}a: 1{suffix}") == {"a": 1}


@pytest.mark.parametrize("text", ["", " \n", "# only a comment\n", "---\n", "~"])
def test_an_empty_text_is_nothing(text: str) -> None:
    assert value_of(text) is None


@pytest.mark.parametrize(("text", "value"), [("- a", ["a"]), ("a", "a"), ("7", 7)])
def test_any_value_may_be_at_the_top(text: str, value: object) -> None:
    assert value_of(text) == value


def test_every_part_has_its_line() -> None:
    text = "a:\n  - 1\n\n  - b: 2\n    c:\n      d: 3\n'e.f': [\n  4,\n  5]\n"
    assert ParsedYaml(text.encode(), "config.yaml").lines == {
        (): 1,
        ("a",): 1,
        ("a", 0): 2,
        ("a", 1): 4,
        ("a", 1, "b"): 4,
        ("a", 1, "c"): 5,
        ("a", 1, "c", "d"): 6,
        ("e.f",): 7,
        ("e.f", 0): 8,
        ("e.f", 1): 9,
    }


@pytest.mark.parametrize(
    ("location", "line"),
    [(("a", 1, "b"), 3), (("a", 1, "missing"), 3), (("a", 9, "b"), 1), (("x", "y"), 1), ((), 1)],
)
def test_a_mistake_is_placed_at_the_nearest_part_around_it(
    location: tuple[str | int, ...], line: int
) -> None:
    parsed = ParsedYaml(b"a:\n- 1\n- b: 2\n", "config.yaml")
    assert parsed.locate(Mistake(location, "x")) == Mistake(location, "x", line)
    assert parsed.locate(Mistake(location, "x", 77)).line == 77


def test_mistakes_are_written_one_per_line_in_the_order_of_the_file() -> None:
    mistakes = [
        Mistake(("roots", 1, "url"), "third", 9),
        Mistake(("roots", 0), "second", 4),
        Mistake((), "first"),
    ]
    assert str(ConfigError("c.yaml", mistakes)).splitlines() == [
        "c.yaml: first",
        "c.yaml:4: roots[0]: second",
        "c.yaml:9: roots[1].url: third",
    ]


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: &x 1\n", "config.yaml:1: anchors and aliases are not supported"),
        ("b: 1\na: *x\n", "config.yaml:2: anchors and aliases are not supported"),
        ("a: !!python/object:os.system x\n", "config.yaml:1: tags are not supported"),
        ("a: !!python/name:os.system ''\n", "config.yaml:1: tags are not supported"),
        ("a: !!int x\n", "config.yaml:1: tags are not supported"),
        ("a: !!str 1\n", "config.yaml:1: tags are not supported"),
        ("\na: !!timestamp x\n", "config.yaml:2: tags are not supported"),
        ("a: !!binary aGk=\n", "config.yaml:1: tags are not supported"),
        ("a: !!set {b, c}\n", "config.yaml:1: tags are not supported"),
        ("a: !custom x\n", "config.yaml:1: tags are not supported"),
        ("a: ! x\n", "config.yaml:1: tags are not supported"),
        ("!custom\na: 1\n", "config.yaml:1: tags are not supported"),
        ("!!str a: 1\n", "config.yaml:1: tags are not supported"),
        ("a: 1\n---\nb: 2\n", "config.yaml:2: only one YAML document is allowed"),
        ("a: 1\n...\n---\n", "config.yaml:3: only one YAML document is allowed"),
        (f"a: {'[' * 40}{']' * 40}", "config.yaml:1: nested too deeply"),
        (f"a: {'{x: ' * 40}{'}' * 40}", "config.yaml:1: nested too deeply"),
        (b"a: 1\nb: \xff\n", "config.yaml:2: not UTF-8"),
        ("a: 1\n".encode("utf-16"), "config.yaml:1: not UTF-8"),
        ("a: \x00\n", "config.yaml: not valid YAML"),
        ("a:\n\t- 1\n", "config.yaml:2: not valid YAML near column 1: a tab where spaces belong"),
        (
            "a: @b\n",
            "config.yaml:1: not valid YAML near column 4: a character that must be in quotes",
        ),
        (
            "a: b: c\n",
            (
                "config.yaml:1: not valid YAML near column 5: "
                "a colon in a text that has no quotes, or goes on from above"
            ),
        ),
        (
            "a:\n  - b: 1\n   c: 2\n",
            "config.yaml:3: not valid YAML near column 4: indented unlike the lines above",
        ),
        (
            "a: 1\nb\nc: 2\n",
            "config.yaml:2: not valid YAML near column 1: a key that no colon follows",
        ),
        ("a:\n - [1\nb: 2\n", "config.yaml:2: not valid YAML near column 4: a [ without its ]"),
        ("a:\n - {b\n", "config.yaml:2: not valid YAML near column 4: a { without its }"),
        (
            "a:\n  b: 'c\nd: 1\n",
            "config.yaml:2: not valid YAML near column 6: a quote without its end",
        ),
        (
            'a: "\\d"\n',
            (
                "config.yaml:1: not valid YAML near column 6: "
                "in double quotes \\ begins an escape; use single quotes"
            ),
        ),
        (b"#" * (LIMIT_BYTES + 1), "config.yaml: larger than 1048576 bytes"),
    ],
)
def test_more_than_data_is_refused_with_its_line(text: str | bytes, refusal: str) -> None:
    assert refusal_of(text) == refusal


def test_a_text_as_large_as_the_limit_is_read() -> None:
    assert value_of(b"a: 1\n".ljust(LIMIT_BYTES, b"#")) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "value", "mistakes"),
    [
        ("a: 1\na: 2\n", {"a": 1}, ["a: appears twice"]),
        ("b:\n- a: 1\n  'a': 2\n", {"b": [{"a": 1}]}, ["b[0].a: appears twice"]),
        ("<<: {b: 1}\na: 2\n", {"a": 2}, ["merge keys are not supported"]),
        ("a: {<<: [{b: 1}, {c: 2}]}\n", {"a": {}}, ["a: merge keys are not supported"]),
        ("? [1, 2]\n: 3\na: 1\n", {"a": 1}, ["a key is not text"]),
        ("a: {? {b: 1} : 2}\n", {"a": {}}, ["a: a key is not text"]),
        ('a: "x\\ny"\n', {"a": "x\ny"}, ["a: holds characters that cannot be printed"]),
        (
            'a: ["\\e[31m"]\n',
            {"a": ["\x1b[31m"]},
            ["a[0]: holds characters that cannot be printed"],
        ),
        ('a: "\\ud800"\n', {"a": "\ud800"}, ["a: holds characters that cannot be printed"]),
        ('a: "\\0"\n', {"a": "\0"}, ["a: holds characters that cannot be printed"]),
        ('a: "\\u202e"\n', {"a": "\u202e"}, ["a: holds characters that cannot be printed"]),
        (f"a: {'9' * 5000}\n", {"a": None}, ["a: not a number that can be used"]),
        ("a: 0x_\n", {"a": None}, ["a: not a number that can be used"]),
    ],
)
def test_mistakes_within_a_mapping_are_collected(
    text: str, value: object, mistakes: list[str]
) -> None:
    parsed = ParsedYaml(text.encode(), "config.yaml")
    assert parsed.value == value
    assert [str(mistake) for mistake in parsed.mistakes] == mistakes
    assert all(parsed.locate(mistake).line for mistake in parsed.mistakes)


@pytest.mark.parametrize("key", ["x\\ny", "\\e[31m", "\\ud800", "\\0", "\\u2028", "\\x85"])
def test_a_key_that_cannot_be_printed_is_a_mistake_and_is_not_repeated(key: str) -> None:
    parsed = ParsedYaml(f'b: 1\na: {{"{key}": 1}}\n'.encode(), "config.yaml")
    error = ConfigError("config.yaml", [parsed.locate(m) for m in parsed.mistakes])
    assert str(error) == "config.yaml:2: a: a key holds characters that cannot be printed"


def test_a_sexagesimal_number_beyond_any_fraction_is_a_mistake() -> None:
    parsed = ParsedYaml(SEXAGESIMAL_FRACTION, "config.yaml")
    assert [str(m) for m in parsed.mistakes] == ["a: not a number that can be used"]


def bombs() -> dict[str, str]:
    levels = range(1, 40)
    aliases = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in levels)
    merges = "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in levels)
    return {
        "aliases": f"a0: &a0 [x]\n{aliases}\n",
        "merge keys": f"m0: &m0 {{x: 1}}\n{merges}\n",
        "merge keys without an anchor": "<<: [" + "{a: 1, b: 2}, " * 2_000 + "]\n",
        "lists": "[" * 1_000_000,
        "mappings": "{a: " * 200_000,
        "indented lists": "- " * 500_000,
        "complex keys": "? " * 500_000,
        "a sexagesimal number": "a: 1" + ":59" * 300_000,
        "a sexagesimal fraction": "a: 1" + ":59" * 300_000 + ".5",
        "a hexadecimal number": "a: 0x" + "f" * 1_000_000,
        "a decimal number": "a: " + "9" * 1_000_000,
        "an anchor's name": "a: &" + "x" * 1_000_000,
    }


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_defused_with_little_memory_and_time(name: str) -> None:
    """In a process that may use 300 MB and 10 s of processor time."""
    program = """if True:
        import resource, sys
        from exporter.errors import ConfigError
        from exporter.config.strict_yaml import ParsedYaml
        resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
        try:
            parsed = ParsedYaml(sys.stdin.buffer.read(), "config.yaml")
        except ConfigError as error:
            print("refused", len(str(error)))
        else:
            print("read", len(parsed.mistakes))
    """
    child = subprocess.run(
        [sys.executable, "-P", "-c", program],
        input=bombs()[name].encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == 0, child.stderr[-500:]
    verdict, number = child.stdout.split()
    assert verdict in (b"refused", b"read")
    assert int(number) < 200


BROKEN = [
    'key: "bad \\q CANARY"',
    'key: "bad \\xZZ CANARY"',
    'key: "CANARY',
    "key: 'CANARY",
    "key: a: CANARY: x",
    "key: CANARY: x",
    "key: !CANARY x",
    "key: !<CANARY",
    "key: !CANARY!x y",
    "key: *CANARY",
    "key: &CANARY x",
    "key: &CANARY&CANARY x",
    "key: !!int CANARY",
    "key: [CANARY",
    "key: {CANARY",
    "key: [CANARY}",
    "\tkey: CANARY",
    "key: @CANARY",
    "key: `CANARY",
    "key: %CANARY",
    "%CANARY x",
    "%YAML CANARY",
    "key: >CANARY",
    "key: |9CANARY",
    "CANARY",
    "   CANARY: x",
    "key: x\n   CANARY: x",
    "key: CANARY\x00",
    "key: CANARY\x07",
    "key: CANARY\udcff",
    "? CANARY\n? {CANARY",
    "key: CANARY\n---\nkey: CANARY",
    "-CANARY\nx: [",
]


@pytest.mark.parametrize("line", BROKEN)
def test_a_secret_in_a_broken_line_is_not_repeated(line: str) -> None:
    text = f"roots:\n- url: s3://b/x\n  storage_options:\n    secret: x\n{line}\nlast: 1\n"
    with pytest.raises(ConfigError) as caught:
        ParsedYaml(text.encode("utf-8", "surrogateescape"), "config.yaml")
    shown = [str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)]
    assert not any("CANARY" in part for part in shown)
    assert len(str(caught.value).splitlines()) == 1


TOKENS = [
    *("a", "b: ", "- ", ": ", "? ", "\n", "\n  ", " ", "[", "]", "{", "}", ",", "&x ", "*x"),
    *("!", "!!int ", "!!python/object:a.b ", "<<: ", "'", '"', "\\ud800", "\\x", "|\n", ">-\n"),
    *("---\n", "...\n", "%YAML 1.1\n", "#", "~", "yes", "0x_", "1:59", ":59", ".5", ".nan", "\t"),
    *("\0", "\x85", "\u2028", "\N{BOM}", "\U0001f600", "9" * 5000, "2020-01-01", "@", "`", "%"),
]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(), st.lists(st.sampled_from(TOKENS)).map(lambda t: "".join(t).encode())))
@example(SEXAGESIMAL_FRACTION)
@example(b"? " * 25 + b"a")
@example(b"a: 0b_")
@example(b"a: 2020-99-99T99:99:99")
def test_any_bytes_are_a_document_or_a_config_error(data: bytes) -> None:
    try:
        parsed = ParsedYaml(data, "config.yaml")
    except ConfigError as error:
        lines = str(error).splitlines()
    else:
        lines = []
        json.dumps(parsed.value)  # plain data and nothing else
    assert all(line.startswith("config.yaml") for line in lines)


PRINTABLE = st.text(max_size=40).filter(str.isprintable)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | PRINTABLE,
        lambda part: st.lists(part, max_size=5) | st.dictionaries(PRINTABLE, part, max_size=5),
        max_leaves=20,
    )
)
def test_json_is_read_as_json(value: object) -> None:
    assert value_of(json.dumps(value, ensure_ascii=False)) == value
