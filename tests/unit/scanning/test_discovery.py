"""Which folders are visited, and which are wanted jobs."""

import pytest

from exporter.config.settings import RootConfig
from exporter.datatrove.layout import path_of
from exporter.scanning.discovery import (
    FolderToVisit,
    folders_below,
    is_unsearched,
    is_wanted,
    job_name,
)
from exporter.storage.base import Folder


def choosing(**options: object) -> RootConfig:
    return RootConfig("r", "/r", **options)


def names_below(config: RootConfig, target: FolderToVisit, folder: Folder) -> list[str]:
    return [job_name(below.path) for below in folders_below(target, folder, config)]


def test_the_root_itself_is_called_dot() -> None:
    assert job_name(()) == "."
    assert job_name(("minhash", "buckets")) == "minhash/buckets"
    assert job_name(("", "signatures")) == "/signatures"


def test_what_datatrove_fills_inside_a_job_is_not_visited() -> None:
    inner = ("completions", "logs", "stats", "slurm_logs", "server_logs", "checkpoints")
    job = Folder((*inner, "merged"), has_executor_file=True)
    assert names_below(choosing(), FolderToVisit(("job",)), job) == ["job/merged"]


def test_outside_a_job_those_are_ordinary_names() -> None:
    folder = Folder(("logs", "completions"), has_executor_file=False)
    assert names_below(choosing(), FolderToVisit(()), folder) == ["logs", "completions"]


@pytest.mark.parametrize(("max_depth", "deeper"), [(0, False), (1, True)])
def test_nothing_is_visited_below_the_maximum_depth(max_depth: int, deeper: bool) -> None:
    below = names_below(
        choosing(max_depth=max_depth), FolderToVisit(()), Folder(("a",), has_executor_file=True)
    )
    assert bool(below) is deeper


@pytest.mark.parametrize(
    ("folder", "unsearched"),
    [
        (Folder(("b",), has_executor_file=False), True),
        (Folder(("b",), has_executor_file=True), True),
        (Folder(("logs",), has_executor_file=False), True),
        (Folder(("logs", "completions", "stats"), has_executor_file=True), False),
        (Folder(("back",), has_executor_file=False, links=(("back", "/real"),)), False),
        (Folder((), has_executor_file=False), False),
    ],
    ids=["folder", "folder in a job", "no job's logs", "a job's own folders", "loop", "nothing"],
)
def test_a_folder_at_the_maximum_depth_is_unsearched_if_it_holds_folders_to_visit(
    folder: Folder, unsearched: bool
) -> None:
    a = FolderToVisit(("a",), "/real/a", frozenset({"/real"}))
    assert is_unsearched(a, folder, choosing(max_depth=1)) is unsearched
    assert not is_unsearched(a, folder, choosing(max_depth=2))
    assert not is_unsearched(a, folder, choosing(max_depth=1, prefix="other"))


def test_only_a_link_back_to_a_folder_on_the_way_is_a_loop() -> None:
    """Whatever the numbers of its device and inode are."""
    links = (("back", "/real/root"), ("here", "/real/root/a"), ("aside", "/real/root/b"))
    root = Folder(("a", "b"), False, identity=1, real_path="/real/root")
    a = Folder(("back", "here", "aside", "inner"), False, identity=1, links=links)
    target = folders_below(FolderToVisit(()), root, choosing())[0]
    assert names_below(choosing(), target, a) == ["a/aside", "a/inner"]


def test_a_link_to_above_the_root_shows_all_but_the_root() -> None:
    root = Folder(("up",), False, real_path="/real/root", links=(("up", "/real"),))
    (up,) = folders_below(FolderToVisit(()), root, choosing())
    above = Folder(("root", "beside"), False, identity=1)
    assert names_below(choosing(), up, above) == ["up/beside"]


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (choosing(), {"CC-1/a", "CC-1/b-test", "other"}),
        (choosing(prefix="CC-"), {"CC-1/a", "CC-1/b-test"}),
        (choosing(prefix="CC-1/a"), {"CC-1/a"}),
        (choosing(include=("*/a", "other")), {"CC-1/a", "other"}),
        (choosing(include=("CC-*",)), {"CC-1/a", "CC-1/b-test"}),
        (choosing(exclude=("*-test",)), {"CC-1/a", "other"}),
        (choosing(include=("CC*",), exclude=("*/a",)), {"CC-1/b-test"}),
        (choosing(include=("A",)), set()),
    ],
)
def test_prefix_include_and_exclude_choose_jobs_by_name(
    config: RootConfig, wanted: set[str]
) -> None:
    assert {n for n in ("CC-1/a", "CC-1/b-test", "other") if is_wanted(n, config)} == wanted


def test_folders_that_cannot_hold_the_prefix_are_not_visited() -> None:
    config = choosing(prefix="minhash/CC")
    root = Folder(("minhash", "minhash2", "other"), has_executor_file=False)
    assert names_below(config, FolderToVisit(()), root) == ["minhash"]
    minhash = Folder(("CC-1", "DD"), has_executor_file=False)
    assert names_below(config, FolderToVisit(("minhash",)), minhash) == ["minhash/CC-1"]


def test_a_folder_named_like_the_root_is_another_job() -> None:
    """No disk has one; an object store may."""
    name = job_name((".",))
    assert name != job_name(())
    assert path_of(name) == (".",)
