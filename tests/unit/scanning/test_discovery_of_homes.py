"""Roots of many users: real folders, of which only some are looked at."""

from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.jobs.homes import LOGS, Scans, closing, names_of, write_homes

HOMES = f"*/{LOGS}/**"


def test_only_the_folders_named_are_read_and_all_of_their_jobs(tmp_path: Path) -> None:
    write_homes(tmp_path, users=5, jobs=3, others=40)
    write_job(tmp_path / "user-00" / "project-0" / "elsewhere", tasks=1)
    expected = [f"user-{user:02}/{LOGS}/run-{job}" for user in range(5) for job in range(3)]
    scans = Scans(str(tmp_path), HOMES)
    root = scans.scan()
    assert (names_of(root), root.missed) == (expected, ())
    # One listing of the root, one of each folder of logs, and three of each job.
    assert scans.asked["readdir"] == 1 + 5 + 3 * 15
    assert names_of(scans.scan()) == expected


def test_a_home_without_logs_costs_one_call_and_is_no_error(tmp_path: Path) -> None:
    write_homes(tmp_path, users=2, jobs=1, others=0)
    scans = Scans(str(tmp_path), HOMES)
    scans.scan()
    scans.scan()
    before = scans.calls
    for number in range(50):
        (tmp_path / f"else-{number}" / "project").mkdir(parents=True)
    scans.scan()
    root = scans.scan()
    assert scans.calls == before + 50
    assert (len(root.jobs), root.folders_denied, root.missed) == (2, 0, ())
    assert not any(count for _, count in root.errors)


def test_closed_homes_of_others_are_counted_and_nobodys_error(tmp_path: Path) -> None:
    write_homes(tmp_path, users=4, jobs=1, others=0)
    scans = Scans(str(tmp_path), HOMES, opener=closing("user-01", f"user-02/{LOGS}"))
    for _ in range(2):
        root = scans.scan()
        assert names_of(root) == [f"user-{user}/{LOGS}/run-0" for user in ("00", "03")]
        assert (root.up, root.folders_denied, root.folders_unread, root.missed) == (True, 2, 0, ())
        assert not any(count for _, count in root.errors)


def test_jobs_go_when_their_home_is_closed_and_come_back(tmp_path: Path) -> None:
    write_homes(tmp_path, users=2, jobs=1, others=0)
    opened = []

    def opener(*args: object) -> object:
        opened.append(closing()(*args))
        return opened[-1]

    scans = Scans(str(tmp_path), HOMES, opener=opener)
    assert len(scans.scan().jobs) == 2
    opened[0].closed = frozenset({"user-00"})
    root = scans.scan()
    assert (names_of(root), root.folders_denied) == ([f"user-01/{LOGS}/run-0"], 1)
    opened[0].closed = frozenset()
    root = scans.scan()
    assert (len(root.jobs), root.folders_denied) == (2, 0)


def test_a_folder_that_a_pattern_names_outright_is_an_error_when_it_is_closed(
    tmp_path: Path,
) -> None:
    write_homes(tmp_path, users=1, jobs=1, others=0)
    scans = Scans(str(tmp_path), "user-00/datatrove/logs/*", opener=closing("user-00"))
    root = scans.scan()
    assert (root.folders_denied, root.folders_unread) == (0, 1)
    assert "cannot be read" in root.missed[0]


def test_a_job_that_cannot_be_read_stays_an_unreadable_job(tmp_path: Path) -> None:
    write_homes(tmp_path, users=1, jobs=2, others=0)
    (tmp_path / "user-00" / LOGS / "run-1" / "executor.json").write_text("{")
    root = Scans(str(tmp_path), HOMES).scan()
    assert [job.error for job in root.jobs] == [None, "invalid"]


@pytest.mark.parametrize(
    ("folders", "max_depth", "sentence"),
    [
        ((HOMES,), 3, "2 folders at max_depth 3 hold more folders, in which was not looked: such"),
        ((f"*/{LOGS}/*",), 2, "2 folders at max_depth 2 hold more folders"),
        (("homes/*/logs",), 6, "nothing lies where folders has it: is that how they are spelled?"),
        (("*/project-0/**",), 6, None),
        (("users-*/**",), 6, "folders leave out every folder found (2)"),
        (("*/datatrove/*",), 6, "folders leave out"),
    ],
)
def test_no_job_is_missed_in_silence(
    tmp_path: Path, folders: tuple[str, ...], max_depth: int, sentence: str | None
) -> None:
    write_homes(tmp_path, users=2, jobs=1, others=10)
    root = Scans(str(tmp_path), *folders, max_depth=max_depth).scan()
    assert root.jobs == ()
    assert [text[: len(sentence or "")] for text in root.missed] == ([sentence] if sentence else [])


def test_links_count_under_their_name_and_loops_end(tmp_path: Path) -> None:
    home = tmp_path / "root" / "bob"
    write_job(home / LOGS / "run", tasks=1)
    (home / LOGS / "again").symlink_to(home / LOGS)
    (tmp_path / "scratch" / "logs").mkdir(parents=True)
    write_job(tmp_path / "scratch" / "logs" / "run", tasks=1)
    (tmp_path / "root" / "ann").mkdir()
    (tmp_path / "root" / "ann" / "datatrove").symlink_to(tmp_path / "scratch")
    root = Scans(str(tmp_path / "root"), HOMES, max_depth=20).scan()
    assert names_of(root) == [f"ann/{LOGS}/run", f"bob/{LOGS}/run"]


def test_a_root_whose_folders_are_all_named_is_not_listed_for_them(tmp_path: Path) -> None:
    write_homes(tmp_path, users=1, jobs=1, others=300)
    scans = Scans(str(tmp_path), f"user-00/{LOGS}/*")
    assert names_of(scans.scan()) == [f"user-00/{LOGS}/run-0"]
    assert scans.asked["readdir"] == 2 + 3  # the root itself, logs, and three of the job
    root = Scans(str(tmp_path / "gone"), f"user-00/{LOGS}/*").scan()
    assert (root.up, root.error) == (False, "not_found: No such file or directory")


def test_a_new_home_and_a_new_job_are_found_by_the_next_scan(tmp_path: Path) -> None:
    write_homes(tmp_path, users=1, jobs=1, others=3)
    scans = Scans(str(tmp_path), HOMES)
    assert len(scans.scan().jobs) == 1
    write_homes(tmp_path, users=3, jobs=2, others=0)
    assert len(scans.scan().jobs) == 6
