"""Local folders that change, or go, while they are being looked at."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.jobs.folders import write_executor, write_job

from exporter.errors import StorageError
from exporter.scanning.job_memory import Memory
from exporter.scanning.job_scan import scan_job
from exporter.storage.base import Folder, Look
from exporter.storage.local.storage import LocalStorage

JOB = ("job",)


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(str(root))


def list_job(storage: LocalStorage) -> Folder:
    return storage.list_folder(JOB, with_subfolders=True)


def look_while(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]
) -> Look:
    """A look at the job, in the midst of which something happens to it: after the status of
    ``completions/`` was asked for, before it is listed."""
    folder, listdir = list_job(storage), os.listdir

    def listdir_later(path: str) -> list[str]:
        monkeypatch.setattr(os, "listdir", listdir)
        happens()
        return listdir(path)

    monkeypatch.setattr(os, "listdir", listdir_later)
    look = storage.look(JOB, folder)
    assert os.listdir is listdir, "nothing happened"
    return look


def times(storage: LocalStorage, ranks: Iterable[int]) -> list[int | None]:
    return storage.marker_times(JOB, ranks)


def test_the_time_of_a_marker_that_is_gone_is_none(root: Path, storage: LocalStorage) -> None:
    job = write_job(root / "job", tasks=4, completed=[0, 1, 2])
    kept = [(job / "completions" / name).stat().st_mtime_ns for name in ("00000", "00002")]
    (job / "completions" / "00001").unlink()
    assert times(storage, [0, 1, 2]) == [kept[0], None, kept[1]]
    shutil.rmtree(job / "completions")
    assert times(storage, [0, 2]) == [None, None]


def test_markers_in_what_is_no_folder_have_no_times(root: Path, storage: LocalStorage) -> None:
    job = write_job(root / "job", tasks=4)
    shutil.rmtree(job / "completions", ignore_errors=True)
    (job / "completions").write_text("")
    with pytest.raises(StorageError) as failure:
        times(storage, [0])
    assert failure.value.reason == "invalid"


def test_a_folder_that_comes_among_the_markers_is_no_marker(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name alone is that of one."""
    job = write_job(root / "job", tasks=4, completed=[0, 1])
    look = look_while(storage, monkeypatch, (job / "completions" / "00002").mkdir)
    assert list(look.markers.ranks) == [0, 1]
    assert look.markers.others == 1


def test_markers_that_go_while_they_are_listed_are_no_count(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(root / "job", tasks=4, completed=[0, 1])
    with pytest.raises(StorageError) as failure:
        look_while(storage, monkeypatch, lambda: shutil.rmtree(job / "completions"))
    assert failure.value.reason == "partial"


def test_markers_that_are_replaced_while_they_are_listed_are_no_count(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(root / "job", tasks=4, completed=[0, 1])
    other = write_job(root / "other", tasks=4, completed=[0, 1, 2])

    def replace() -> None:
        (job / "completions").rename(root / "before")
        (other / "completions").rename(job / "completions")

    with pytest.raises(StorageError) as failure:
        look_while(storage, monkeypatch, replace)
    assert failure.value.reason == "partial"


def test_a_job_folder_that_became_a_file_is_no_job(root: Path, storage: LocalStorage) -> None:
    (root / "job").write_text("")
    folder = storage.list_folder(JOB, with_subfolders=False)
    assert not folder.has_executor_file


def test_an_executor_json_that_leads_in_circles_is_there_and_cannot_be_read(
    root: Path, storage: LocalStorage
) -> None:
    (root / "job").mkdir()
    (root / "job" / "executor.json").symlink_to("executor.json")
    folder = list_job(storage)
    assert folder.has_executor_file
    with pytest.raises(StorageError) as failure:
        storage.look(JOB, folder)
    assert failure.value.reason == "invalid"


def test_completions_that_are_a_link_to_nowhere_are_no_count(
    root: Path, storage: LocalStorage
) -> None:
    """A disk that is not mounted takes the markers with it, and they are not undone."""
    job = write_job(root / "job", tasks=4, completed=[0, 1])
    (job / "completions").rename(root / "elsewhere")
    (job / "completions").symlink_to(root / "elsewhere")
    folder = list_job(storage)
    look = storage.look(JOB, folder)
    assert list(look.markers.ranks) == [0, 1]
    (root / "elsewhere").rename(root / "away")
    for last in (None, look):
        with pytest.raises(StorageError) as failure:
            storage.look(JOB, folder, last)
        assert failure.value.reason == "invalid"


def test_completions_that_come_while_they_are_looked_for_are_listed(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = write_job(root / "job", tasks=4, completed=[0, 1])
    (job / "completions").rename(root / "elsewhere")
    folder, lstat = list_job(storage), os.lstat

    def lstat_later(path: str) -> os.stat_result:
        (root / "elsewhere").rename(job / "completions")
        return lstat(path)

    monkeypatch.setattr(os, "lstat", lstat_later)
    assert list(storage.look(JOB, folder).markers.ranks) == [0, 1]


def test_logs_that_may_not_be_listed_leave_the_job_readable(
    root: Path, storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job(root / "job", tasks=4, logs=[0])
    folder, scandir = list_job(storage), os.scandir

    def scandir_denied(path: str) -> object:
        if path.endswith("/logs"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", scandir_denied)
    look = storage.look(JOB, folder)
    assert not look.has_logs
    assert list(look.markers.ranks) == []


# --- The time of the last completion, of a job that was complete when it was first seen


def last_completion(root: Path, memory: Memory | None = None) -> tuple[float | None, Memory | None]:
    storage = LocalStorage(str(root))
    found = scan_job(storage, JOB, list_job(storage), memory)
    assert found.reading is not None
    return found.reading.last_completion_timestamp, found.memory


def write_done(root: Path) -> float:
    """A job whose three tasks are done, as they leave it; returns when the last was."""
    job = write_job(root / "job", tasks=3)
    (job / "completions").mkdir()
    for rank in range(3):
        (job / "completions" / f"{rank:05d}").touch()
    return max(file.stat().st_mtime for file in (job / "completions").iterdir())


def age(folder: Path, *, seconds: float) -> None:
    """Make all files below the folder older, as a copy that keeps their times does."""
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (file.stat().st_mtime - seconds,) * 2)


def test_what_was_written_where_it_lies_is_dated_by_its_folder(root: Path) -> None:
    done = write_done(root)
    assert last_completion(root)[0] == pytest.approx(done, abs=1)


def test_a_copy_that_keeps_times_of_files_only_is_dated_by_its_markers(root: Path) -> None:
    """A tool that copies from an object store: folders are made as the files come."""
    done = write_done(root)
    age(root / "job", seconds=30 * 86_400)
    assert last_completion(root)[0] == pytest.approx(done - 30 * 86_400, abs=1)


def test_a_copy_that_keeps_times_of_folders_too_is_dated_as_what_was_copied(root: Path) -> None:
    done = write_done(root)
    age(root / "job", seconds=30 * 86_400)
    then = done - 30 * 86_400
    os.utime(root / "job" / "completions", (then, then))
    assert last_completion(root)[0] == pytest.approx(then, abs=1)


def test_what_comes_and_goes_beside_the_markers_is_no_completion(root: Path) -> None:
    write_done(root)
    first, memory = last_completion(root)
    assert first is not None
    for folder_time in (first - 5, first + 86_400):
        (root / "job" / "completions" / ".nfs01").touch()
        os.utime(root / "job" / "completions", (folder_time,) * 2)
        last, memory = last_completion(root, memory)
        assert last == first


def test_a_change_of_rights_after_a_copy_does_not_hide_that_it_is_one(root: Path) -> None:
    """Then the status of the folder changed later than its content, too, as in a copy that kept
    its time. Its time is that of the copy all the same."""
    done = write_done(root)
    age(root / "job", seconds=30 * 86_400)
    copied = done - 86_400
    os.utime(root / "job" / "completions", (copied, copied))
    assert last_completion(root)[0] == pytest.approx(done - 30 * 86_400, abs=1)


@pytest.mark.parametrize("stray", ["00003", "notes.txt"])
def test_a_stray_entry_seen_with_the_markers_is_no_completion(root: Path, stray: str) -> None:
    """It gave the folder its time, whether its name is that of a rank or not."""
    done = write_done(root)
    completions = root / "job" / "completions"
    (completions / stray).touch()
    os.utime(completions, (done + 1,) * 2)
    last, memory = last_completion(root)
    assert last == pytest.approx(done, abs=0.1)
    (completions / stray).unlink()
    os.utime(completions, (done + 1,) * 2)
    assert last_completion(root, memory)[0] == pytest.approx(done, abs=0.1)


def test_a_launch_that_finds_all_done_makes_no_completion_of_what_came_and_went(root: Path) -> None:
    write_done(root)
    first, memory = last_completion(root)
    assert first is not None
    completions = root / "job" / "completions"
    (completions / ".nfs01").touch()
    (completions / ".nfs01").unlink()
    os.utime(completions, (first + 86_400,) * 2)
    write_executor(root / "job", tasks=3, launch=first + 3600)
    assert last_completion(root, memory)[0] == pytest.approx(first, abs=1)
