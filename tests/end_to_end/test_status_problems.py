"""What needs somebody, as ``status --problems`` says it."""

import time
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.jobs.gallery import write_gallery
from support.processes import COMMAND
from support.status import status
from support.terminal import terminal

BUCKETS = "CC-MAIN-2024-18/minhash/buckets"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    roots = write_gallery(folder)
    listed = "".join(f"\n- {{name: {name}, url: {url}}}" for name, url in roots.items())
    (folder / "c.yaml").write_text(f"roots: {listed}\n")
    return folder / "c.yaml"


def test_problems_are_one_line_each_the_newest_first(gallery: Path) -> None:
    run = status(gallery, "--problems")
    heading, *lines, summary = run.out.splitlines()
    assert heading.split() == ["ROOT", "JOB", "STATE", "%", "SILENT", "WHY"]
    assert [line.split()[:4] for line in lines] == [
        ["books", "corrupt", "✗", "unreadable"],
        ["scratch", "-", "✗", "root"],
        ["books", "parse", "✘", "failed"],
        ["fineweb", BUCKETS, "!", "stalled"],
    ]
    assert lines[1].endswith("cannot be scanned: No such file or directory (never read)")
    assert "  24 left: 12 failed IndexError at extract.py:run:88" in lines[2]
    assert lines[3].split()[4:6] == ["34%", "6h24m"]
    assert "  183 left: " in lines[3]
    assert summary.startswith("Summary: ")
    assert (run.code, status(gallery, "--problems", "--strict").code) == (1, 3)


def test_problems_for_scripts_have_the_jobs_beside(gallery: Path) -> None:
    value = status(gallery, "--problems", "--json").json
    assert [(p["kinds"], p["root"], p["job_name"]) for p in value["problems"]] == [
        (["state"], "books", "corrupt"),
        (["root"], "scratch", None),
        (["state"], "books", "parse"),
        (["state"], "fineweb", BUCKETS),
    ]
    assert [job["job_name"] for job in value["jobs"]] == ["corrupt", "parse", BUCKETS]
    assert value["problems"][3]["last_sign_of_life_timestamp"] < time.time() - 6 * 3600


def test_filters_choose_among_problems_and_a_limit_says_what_it_leaves_out(gallery: Path) -> None:
    def jobs(*arguments: str) -> list[str]:
        lines = status(gallery, "--problems", *arguments).out.splitlines()
        return [line.split()[0] for line in lines[1:-1]]

    assert jobs("--match", "minhash") == ["scratch", "fineweb"]
    assert jobs("--state", "unreadable", "--root", "books") == ["corrupt"]
    assert jobs("--limit", "1") == ["books", "…"]
    value = status(gallery, "--problems", "--limit", "1", "--json").json
    assert (len(value["problems"]), value["left_out"]) == (1, 3)


def test_where_nothing_is_wrong_that_is_said(tmp_path: Path) -> None:
    write_job(tmp_path / "j", tasks=2, completed=range(2))
    run = status(tmp_path, "--problems")
    assert run.out.startswith("Nothing needs anybody.\nSummary: 1/1 ")
    assert (run.code, run.err) == (0, "")


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_a_reason_that_a_terminal_has_no_room_for_stands_below(gallery: Path, columns: int) -> None:
    with terminal([*COMMAND, "status", str(gallery), "--problems"], columns=columns) as drawn:
        drawn.wait()
    shown = drawn.lines
    assert ("WHY" in shown[0]) == (columns == 200)
    at = next(at for at, line in enumerate(shown) if "stalled" in line)
    assert "183 left: " in shown[at + (columns < 200)]
    assert (BUCKETS in shown[at]) == (columns > 40)


@pytest.mark.parametrize("other", [("--by", "root"), ("--sort", "name")])
def test_problems_have_an_order_and_a_table_of_their_own(gallery: Path, other: list[str]) -> None:
    assert status(gallery, "--problems", *other).code == 2
