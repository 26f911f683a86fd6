"""Which jobs ``status`` shows, and what it says of those that it leaves out."""

import time
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.status import Run, status

LISTED = ["base/CC-MAIN-2022-38", "base/CC-MAIN-2023-06", "dedup/CC-MAIN-2022-38"]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, now = tmp_path_factory.mktemp("estate"), time.time()
    write_job(folder / "a" / LISTED[0], tasks=4, completed=range(4), launch=now - 3000)
    write_job(folder / "a" / LISTED[1], tasks=4, completed=range(3), launch=now - 300)
    write_job(folder / "a" / LISTED[2], tasks=4, launch=now - 60)
    write_job(folder / "b" / "Other", tasks=9, completed=range(9), launch=now - 9000)
    roots = "".join(f"\n- {{name: {name}, url: {name}}}" for name in ("a", "b"))
    (folder / "c.yaml").write_text(f"roots: {roots}\n")
    return folder


def names(run: Run) -> list[str]:
    return [line.split()[1] for line in run.out.splitlines()[1:] if "  " in line]


def test_filters_leave_those_that_they_name(estate: Path) -> None:
    file = estate / "c.yaml"
    for arguments, left in (
        (("--match", "2022-38"), [LISTED[0], LISTED[2]]),
        (("--match", "oTHER"), ["Other"]),
        (("--state", "waiting"), [LISTED[2]]),
        (("--state", "waiting", "--state", "running"), LISTED[1:]),
        (("--state", "complete", "--match", "base"), [LISTED[0]]),
        (("--match", "base", "-hc"), [LISTED[1]]),
        (("--match", "nowhere"), []),
    ):
        assert names(status(file, *arguments)) == left, arguments
        assert [*status(file, *arguments, "--json").jobs] == left, arguments


def test_sums_are_those_of_what_was_asked_for_and_say_so(estate: Path) -> None:
    file = estate / "c.yaml"
    assert status(file).summary == (2, 4, 16, 21)
    run = status(file, "--match", "base", "-hc")
    assert run.summary == (1, 2, 7, 8)
    assert run.out.endswith(" tasks completed, of 4 jobs in all.\n")
    value = status(file, "--match", "base", "--json").json
    assert (value["selected"]["jobs"], value["selected"]["tasks_completed"]) == (2, 7)
    assert (value["totals"]["jobs"], value["totals"]["tasks"]) == (4, 21)
    whole = status(file, "--json").json
    assert whole["selected"].items() <= whole["totals"].items()


def test_a_limit_says_how_many_it_leaves_out(estate: Path) -> None:
    file = estate / "c.yaml"
    run = status(file, "--limit", "1")
    assert names(run) == ["Other"]
    assert "\n… and 3 more that --limit leaves out\nSummary: 2/4 " in run.out
    assert "leaves out" not in status(file, "--limit", "4").out
    value = status(file, "--limit", "3", "--json").json
    assert (len(value["jobs"]), value["left_out"]) == (3, 1)
    parts = status(file, "--limit", "1", "--by", "state", "--json").json
    assert ([part["value"] for part in parts["parts"]], parts["left_out"]) == (["running"], 2)
    assert "… and 2 more that" in status(file, "--limit", "1", "--by", "state").out


def test_filters_that_leave_nothing_say_so(estate: Path) -> None:
    said = status(estate / "c.yaml", "--match", "nowhere").out.splitlines()
    assert said[0] == "--match, --state or -hc leave out all 4 jobs."
    assert said[1].startswith("Summary: 0/0 ")
    (first, _) = status(estate / "b", "-hc").out.splitlines()
    assert first == "--match, --state or -hc leave out the one job."


def test_parts_are_of_what_was_asked_for(estate: Path) -> None:
    lines = status(estate / "c.yaml", "--match", "2022", "--by", "stage").out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["dedup/*", "base/*"]


def test_no_root_but_the_named_one_is_scanned(estate: Path) -> None:
    file = estate / "c.yaml"
    value = status(file, "--root", "b", "--json").json
    assert [root["root"] for root in value["roots"]] == ["b"]
    assert (value["totals"]["jobs"], value["selected"]["jobs"]) == (1, 1)
    assert status(file, "--root", "b", "--root", "a").summary == (2, 4, 16, 21)
    for more, code in (((), 1), (("--strict",), 3)):
        run = status(file, "--root", "B", *more)
        assert (run.code, run.out) == (code, "")
        assert run.err == "no root is called B; there are a, b\n"


def test_strict_is_about_everything_that_was_read_and_says_so(estate: Path) -> None:
    """A gate that a filter opens would let the next stage run on half of its input."""
    file = estate / "c.yaml"
    said = "not complete that the filters leave out; the exit code counts"
    run = status(file, "--match", "Other", "--strict")
    assert (run.code, run.err) == (3, f"2 jobs are {said} them\n")
    assert status(file, "--state", "waiting", "--strict").err == f"1 job is {said} it\n"
    assert status(file, "--match", "2", "--strict").err == ""
    run = status(file, "--root", "b", "--match", "nothing", "--strict")
    assert (run.code, run.err) == (0, "")
    assert status(file, "--match", "Other", "--fail-incomplete").code == 3


def test_several_states_may_be_one_word(estate: Path) -> None:
    file = estate / "c.yaml"
    assert names(status(file, "--state", "waiting,running")) == LISTED[1:]
    assert status(file, "--state", "waiting,").code == 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (("--state", "waitin"), "did you mean waiting?"),
        (("--state", "running,complet"), "did you mean complete?"),
        (("--sort", "lanch"), "did you mean launch?"),
        (("--root", "aa"), "no root is called aa; there are a, b; did you mean a?"),
        (("--by", "stge"), "no job has a stge; there are root, state, stage, item; did you mean s"),
    ],
)
def test_what_is_meant_by_a_word_that_is_none_is_said(
    estate: Path, wrong: tuple[str, ...], says: str
) -> None:
    assert says in status(estate / "c.yaml", *wrong).err


@pytest.mark.parametrize("wrong", [("--state", "asleep"), ("--limit", "-1"), ("--limit", "all")])
def test_what_no_filter_can_be_is_wrong_usage(estate: Path, wrong: tuple[str, ...]) -> None:
    assert status(estate / "c.yaml", *wrong).code == 2
