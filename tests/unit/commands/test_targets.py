"""What arguments of commands mean."""

from pathlib import Path

import pytest

from exporter.commands.targets import config_of, with_roots
from exporter.errors import CommandError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration of two roots, the first with a prefix, beside the current folder."""
    for name in ("a", "b", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"roots: [{{name: a, url: {tmp_path}/a, prefix: run_1}}, {{name: b, url: {tmp_path}/b}}]"
    )
    return str(config)


def test_without_anything_named_it_is_the_current_folder(file: str) -> None:
    here = str(Path(file).parent / "here")
    assert [root.url for root in config_of((), None).roots] == [here]
    assert [root.name for root in config_of((), file).roots] == ["a", "b"]
    assert [root.name for root in config_of((".",), file).roots] == ["a", "b", here]


def test_a_root_that_is_named_twice_is_looked_at_once(file: str) -> None:
    assert [root.name for root in config_of((file, "."), file).roots] == [
        *("a", "b", str(Path(file).parent / "here"))
    ]


@pytest.mark.parametrize(
    ("prefix", "read", "shown"),
    [
        ("run_", ["run_1", "run_"], ["", ""]),
        ("run_12", ["run_12", "run_12"], ["", ""]),
        ("test", ["run_1", "test"], ["test", ""]),
    ],
    ids=["wider than the root's", "narrower", "another"],
)
def test_a_prefix_narrows_that_of_a_root_and_never_widens_it(
    file: str, prefix: str, read: list[str], shown: list[str]
) -> None:
    roots = config_of((), file, prefix=prefix).roots
    assert [root.prefix for root in roots] == read
    assert [root.asked_prefix for root in roots] == shown


def test_with_upstreams_all_jobs_are_read_and_those_with_the_prefix_shown(file: str) -> None:
    roots = config_of((), file, prefix="run_12", with_upstreams=True).roots
    assert [(root.prefix, root.asked_prefix) for root in roots] == [
        *(("run_1", "run_12"), ("", "run_12"))
    ]


def test_only_the_named_roots_are_left(file: str) -> None:
    config = config_of((), file)
    assert with_roots(config, ()) is config
    assert [root.name for root in with_roots(config, ["b"]).roots] == ["b"]
    with pytest.raises(CommandError, match="no root is called c; there are a, b"):
        with_roots(config, ["c", "a"])


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("", "'': names no folder"),
        ("logs", "logs: does not exist"),
        ("host:9000", "host:9000: does not exist; if it is a URL, it begins with http://"),
    ],
)
def test_what_names_nothing_is_told(file: str, argument: str, problem: str) -> None:
    with pytest.raises(CommandError) as told:
        config_of((argument,), file)
    assert str(told.value) == problem


def test_a_folder_may_come_where_the_command_waits_for_it(file: str) -> None:
    (root,) = config_of(("logs",), None, may_come=True).roots
    assert root.url == str(Path(file).parent / "here" / "logs")
    with pytest.raises(CommandError):
        config_of(("other.yaml",), None, may_come=True)
