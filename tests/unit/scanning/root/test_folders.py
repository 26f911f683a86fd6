"""What is kept of a root's folders between scans; no storage, no clock."""

from exporter.config.settings import RootConfig
from exporter.errors import StorageError
from exporter.scanning.discovery import jitter
from exporter.scanning.root.folders import RootFolders, shows_empty
from exporter.storage.base import Folder, Path

NOW = 1000.0
EMPTY = Folder((), has_executor_file=False)
JOB = Folder((), has_executor_file=True)


def folders_of(**options: object) -> RootFolders:
    return RootFolders(RootConfig("r", "/r", completed_scan_interval_seconds=100, **options))


def test_folders_seen_first_together_are_not_listed_anew_together() -> None:
    """Each after its own part of the interval, then once per interval."""
    folders, paths = folders_of(), [(f"j{number}",) for number in range(50)]
    for path in paths:
        folders.listed(path, JOB, NOW, thorough=True)
    due = {path: state.list_due for path in paths if (state := folders.get(path)) is not None}
    assert due == {path: NOW + 100 * jitter(path) for path in paths}
    assert min(due.values()) < NOW + 20
    assert max(due.values()) > NOW + 80
    for path, thorough in ((paths[0], True), (paths[1], False)):
        folders.listed(path, JOB, NOW + 90, thorough=thorough)
    first, second = folders.get(paths[0]), folders.get(paths[1])
    assert first is not None
    assert second is not None
    assert (first.list_due, second.list_due) == (NOW + 190, due[paths[1]])


def test_another_folder_in_a_place_takes_along_all_that_was_known_below_it() -> None:
    folders, inside = folders_of(), [("a",), ("a", "x"), ("a", "x", "y")]
    for path in (*inside, ("ab",)):
        folders.listed(path, Folder((), has_executor_file=True, identity=1), NOW, thorough=True)
    assert folders.is_another(("a",), Folder((), has_executor_file=True, identity=2))
    assert not folders.is_another(("a",), Folder((), has_executor_file=True, identity=1))
    assert not folders.is_another(("a",), JOB), "the storage does not tell"
    assert not folders.is_another(("new",), Folder((), has_executor_file=True, identity=2))
    folders.forget_below(("a",))
    assert [folders.get(path) for path in inside] == [None] * 3
    assert folders.get(("ab",)) is not None


def test_a_scan_that_saw_no_job_tells_why() -> None:
    def seen(*listed: tuple[Path, Folder], **options: object) -> tuple[int, int, bool]:
        folders = folders_of(**options)
        for path, folder in listed:
            folders.listed(path, folder, NOW, thorough=True)
        assert folders.seen(has_jobs=True).jobs_left_out == 0
        told = folders.seen(has_jobs=False)
        return told.jobs_left_out, told.folders_left_out, told.is_empty

    root: tuple[Path, Folder] = ((), Folder(("a", "b"), has_executor_file=False))
    assert seen(((), EMPTY)) == (0, 0, True)
    assert seen(root, (("a",), EMPTY), (("b",), JOB), exclude=("b",)) == (1, 0, False)
    assert seen(root, (("a",), EMPTY), prefix="a/") == (0, 1, False)
    assert seen(root, max_depth=0) == (0, 0, False)


def test_what_a_later_scan_did_not_see_is_forgotten() -> None:
    folders, denied = folders_of(), StorageError("denied", "no")
    for path in ((), ("a",), ("b",)):
        folders.listed(path, EMPTY, NOW, thorough=True)
    for path in (("x",), ("y",)):
        folders.failed(path, denied)
    folders.scan_ended({(), ("a",)}, {("y",)})
    assert [folders.get(path) is not None for path in ((), ("a",), ("b",))] == [True, True, False]
    seen = folders.seen(has_jobs=True)
    assert (seen.folders, seen.folders_unread, seen.unread_example) == (2, 1, "y (denied: no)")


def test_the_root_shows_empty_only_where_its_listing_can_tell() -> None:
    config = RootConfig("r", "/r")
    assert shows_empty(EMPTY, config)
    assert not shows_empty(JOB, config)
    assert not shows_empty(Folder(("a",), has_executor_file=False), config)
    assert not shows_empty(EMPTY, RootConfig("r", "/r", max_depth=0))
