"""``status`` as a process: what it prints into pipes and terminals, and its exit codes."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.jobs.folders import LAUNCH, write_executor, write_job, write_marker
from support.jobs.pipelines import jobs_status
from support.jobs.real import COMPLETE, READABLE, TRUTH, UNREADABLE, unpack
from support.processes import COMMAND
from support.servers import BUCKET, S3Server
from support.status import Run, status
from support.terminal import CONTROL_C, terminal

from exporter.model.state import STATES


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="module")
def archived(archive: Path) -> Run:
    return status(archive, "--max-depth", "8", "--json", "--missing")


# --- What it says


def test_every_archived_job_is_shown_as_what_it_is(archived: Run) -> None:
    assert set(archived.jobs) == set(TRUTH)
    for name in READABLE:
        job, truth = archived.jobs[name], TRUTH[name]
        assert (job["tasks"], job["tasks_completed"], job["stray_markers"]) == (
            truth["world_size"],
            truth["completed"],
            truth["stale"],
        ), name
        assert (job["state"] == "complete") == truth["complete"]
    for name in UNREADABLE:
        assert (archived.jobs[name]["state"], archived.jobs[name]["error"]) == (
            "unreadable",
            "invalid",
        )
    totals = archived.json["totals"]
    assert (totals["jobs"], totals["jobs_completed"], totals["jobs_unreadable"]) == (
        len(TRUTH),
        len(COMPLETE),
        len(UNREADABLE),
    )
    assert archived.code == 1  # one of them could not be read


def test_missing_ranks_and_their_logs_are_those_that_the_files_show(
    archived: Run, archive: Path
) -> None:
    with_logs = 0
    for name in READABLE:
        job, folder = archived.jobs[name], archive / name
        present = {file.name for file in folder.glob("completions/*")}
        logs = {file.name for file in folder.glob("logs/*")}
        missing: list[int] = []
        for run in job["missing_runs"]:
            missing += range(run["first"], run["last"] + 1)
        assert missing == [r for r in range(job["tasks"]) if f"{r:05d}" not in present], name
        expected = [] if job["state"] == "complete" else missing
        assert [{"rank": log["rank"], "path": log["path"]} for log in job["missing_logs"]] == [
            {"rank": rank, "path": str(folder / "logs" / f"task_{rank:05d}.log")}
            for rank in expected
            if f"task_{rank:05d}.log" in logs
        ], name
        with_logs += bool(job["missing_logs"])
    assert with_logs > 1


FOLDERS = sorted({str(Path(name).parent) for name in READABLE})


@pytest.mark.parametrize("folder", FOLDERS)
def test_jobs_status_prints_the_same_sums(tmp_path: Path, archive: Path, folder: str) -> None:
    """Where it is right: one folder deep, without files that end it and stray markers."""
    root = tmp_path / "root"
    root.mkdir()
    for name in READABLE:
        if str(Path(name).parent) == folder and not TRUTH[name]["stale"]:
            subprocess.run(["cp", "-a", archive / name, root], check=True)
    theirs, summary = jobs_status(root)
    run = status(root, "--max-depth", "1")
    assert run.summary == summary
    shown = {
        line.split("  ")[0]: re.search(r"(\d+)/(\d+)", line).groups()
        for line in run.out.splitlines()[1:-1]
    }
    assert shown == {name: (str(done), str(tasks)) for name, (_, done, tasks) in theirs.items()}
    for option in (["-hc"], ["--hide_complete"]):
        theirs, summary = jobs_status(root, *option)
        run = status(root, "--max-depth", "1", *option)
        assert run.summary == summary
        assert len(run.out.splitlines()) - 2 == len(theirs)  # a head, or that all are left out


@pytest.mark.parametrize("option", ["-p", "--log_prefix", "--prefix"])
def test_a_prefix_means_what_it_means_to_jobs_status(archive: Path, option: str) -> None:
    folder = archive / "nested/minhash/CC-MAIN-2024-18"
    theirs, summary = jobs_status(folder, "-p", "b")
    run = status(folder, option, "b")
    assert run.summary == summary == (1, 1, 2, 2)
    assert list(theirs) == ["buckets"]
    assert run.out.splitlines()[1].startswith("buckets ")


def test_plain_text_is_aligned_and_one_line_for_each_job(make_job: Callable[..., Path]) -> None:
    now = time.time()
    make_job("short", tasks=4, completed=[0], launch=now - 100, seconds_between=40)
    make_job("a/long/er name 日本", tasks=2, completed=[0, 1], launch=now - 7300)
    make_job("waits", tasks=9, launch=now - 60)
    root = make_job("x", tasks=4, completed=[0, 1], stray=["00007", "tmp"], launch=now - 500).parent
    lines = status(root).out.splitlines()
    heading = lines[0]
    first_words = [line.split()[0] for line in lines]
    assert first_words == ["JOB", "a/long/er", "short", "waits", "x", "Summary:"]
    column = heading.index("STATE")
    assert [line[column] for line in lines[2:5]] == ["▶", "…", "▶"]
    assert lines[1].index("✓") == column - 2  # two characters that take two places each
    assert re.search(r" 1/4   25%  (\d+m)?(\d+s)?  +40s ", lines[2]), lines[2]
    assert lines[4].endswith("  2 stray markers")
    assert lines[5] == "Summary: 1/4 (25 %) jobs completed, 5/19 (26 %) tasks completed."


def test_a_running_job_tells_its_pace_and_the_time_left(make_job: Callable[..., Path]) -> None:
    now = time.time()
    root = make_job(
        "j", tasks=10, completed=range(5), launch=now - 3000, seconds_between=600
    ).parent
    (job,) = status(root, "--json").json["jobs"]
    assert (job["state"], job["tasks_per_hour"]) == ("running", pytest.approx(6, rel=0.01))
    assert job["longest_completion_gap_seconds"] == pytest.approx(600, abs=1)
    assert job["eta_timestamp"] == pytest.approx(now + 3000, abs=60)


def test_several_roots_are_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_job(tmp_path / name / "job", tasks=1, completed=[0])
    lines = status(tmp_path / "a", tmp_path / "b", tmp_path / "a").out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [
        [str(tmp_path / "a"), "job"],
        [str(tmp_path / "b"), "job"],
    ]
    assert len(lines) == 4


def test_an_unreadable_job_is_in_its_place_with_the_reason(make_job: Callable[..., Path]) -> None:
    make_job("a", tasks=2, completed=[0, 1])
    (make_job("b", tasks=2) / "executor.json").write_text('{"world_size": "CANARY"}')
    make_job("c", tasks=2, completed=[0, 1])
    denied = make_job("d", tasks=2, completed=[0, 1])
    (denied / "completions").chmod(0)
    run = status(denied.parent)
    (denied / "completions").chmod(0o755)
    lines = run.out.splitlines()
    assert [line.split()[2] for line in lines[1:5]] == [
        "complete",
        "unreadable",
        "complete",
        "unreadable",
    ]
    assert lines[2].endswith("  executor.json or completions/ is not valid")
    assert lines[4].endswith("  access denied")
    assert lines[5].endswith(", 2 unreadable.")
    assert (run.code, run.err) == (1, "")
    assert "CANARY" not in run.out


def test_missing_ranks_are_ranges_below_the_table(make_job: Callable[..., Path]) -> None:
    root = make_job("j", tasks=21, completed=[*range(3), *range(4, 17)], logs=[3, 18, 2, 30]).parent
    (root / "j/logs/notes.txt").touch()
    make_job("none", tasks=5_000_000)
    make_job("over", tasks=2, completed=[0, 1])
    assert (
        "j misses 3,17-20\n"
        + "".join(f"  {root}/j/logs/task_{rank:05d}.log\n" for rank in (3, 18))
        + "\nnone misses 0-4999999\n\nSummary"
        in status(root, "--missing").out
    )


@pytest.mark.parametrize(
    "name", ["tab\there", "back\\slash", b"not utf-8 \xff".decode("utf-8", "surrogateescape")]
)
def test_logs_are_found_in_folders_with_odd_names(make_job: Callable[..., Path], name: str) -> None:
    root = make_job(name, tasks=2, completed=[0], logs=[1]).parent
    (job,) = status(root, "--missing", "--json").json["jobs"]
    assert len(job["missing_logs"]) == 1
    assert job["missing_logs"][0]["path"].endswith(f"/{job['job_name']}/logs/task_00001.log")


def test_jobs_on_s3_are_shown_with_the_logs_of_missing_ranks(
    s3_server: S3Server, make_job: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_job("deep/job", tasks=3, completed=[0], logs=[0, 2])
    client = s3_server.client()
    for file in filter(Path.is_file, folder.rglob("*")):
        key = f"status/{file.relative_to(folder.parent.parent)}"
        client.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    environment = {
        "AWS_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
    }
    url = f"s3://{BUCKET}/status"
    run = status(url, "--missing", environment=environment)
    assert run.code == 0, run.err
    states = "  failed 2\n  running or not started 1\n"
    log = f"  {url}/deep/job/logs/task_00002.log  failed\n"
    assert f"deep/job misses 1-2\n{states}{log}" in run.out
    file = tmp_path / "config.yaml"
    options = {"url": url, "name": "bucket", "storage_options": s3_server.options}
    file.write_text(json.dumps({"roots": [options]}))
    (job,) = status(file, "--json").json["jobs"]
    assert (job["root"], job["tasks_completed"]) == ("bucket", 1)


# --- What it looks at


def test_without_arguments_it_looks_at_the_current_folder(make_job: Callable[..., Path]) -> None:
    root = make_job("j", tasks=1, completed=[0]).parent
    assert status(cwd=root).summary == (1, 1, 1, 1)
    assert status(cwd=root / "j").out.splitlines()[1].startswith(". ")


@pytest.mark.parametrize("name", ["r😀", "日本 ü", "${HOME}", "a$b", "~", "#", "'\"", "%41"])
def test_a_folder_that_is_named_as_a_url_may_have_any_name_that_can_be_printed(
    make_job: Callable[..., Path], name: str
) -> None:
    root = make_job(f"{name}/j", tasks=2, completed=[0]).parent
    run = status(f"file://{root}")
    assert (run.code, run.err, run.summary) == (0, "", (0, 1, 1, 2))


def test_a_configuration_is_told_from_a_folder(make_job: Callable[..., Path]) -> None:
    """A folder may be called like a configuration."""
    root = make_job("c.yaml/j", tasks=2, completed=[0]).parent.parent
    file = root / "config.yaml"
    file.write_text("roots: [{url: c.yaml, name: mine}]")
    named = (status(file, "--json"), status(f"--config.file={file}", "--json"))
    in_environment = {"DATATROVE_EXPORTER_CONFIG_FILE": str(file)}
    for run in (*named, status("--json", environment=in_environment)):
        assert [root["root"] for root in run.json["roots"]] == ["mine"]
    folder = root / "c.yaml"
    for run in (
        status(folder, "--json"),
        status(folder, "--json", environment=in_environment),
    ):
        assert [root["root"] for root in run.json["roots"]] == [str(folder)]
    both = status(folder, f"--config.file={file}", "--json")
    assert [root["root"] for root in both.json["roots"]] == ["mine", str(folder)]


def test_a_prefix_narrows_what_a_configuration_chooses(make_job: Callable[..., Path]) -> None:
    for name in ("ab1", "ab2", "a3", "c4"):
        make_job(name, tasks=1)
    root = make_job("ab5", tasks=1).parent
    file = root / "config.yaml"
    file.write_text("roots: [{url: ., prefix: ab}]")
    for prefix, names in (("", "ab1 ab2 ab5"), ("a", "ab1 ab2 ab5"), ("ab2", "ab2"), ("c", "")):
        assert " ".join(status(file, "--json", "-p", prefix).jobs) == names


def test_nested_jobs_are_found_as_deep_as_it_is_told(make_job: Callable[..., Path]) -> None:
    root = make_job("1/2/3", tasks=1).parent.parent.parent
    make_job("1", tasks=1)
    make_job("1/2/3/4", tasks=1)
    assert list(status(root, "--json").jobs) == ["1", "1/2/3"]
    assert list(status(root, "--json", "--max-depth", "1").jobs) == ["1"]
    deep = status(root, "--json", "--max-depth", "4")
    assert (list(deep.jobs), deep.err) == (["1", "1/2/3", "1/2/3/4"], "")


def test_who_typed_a_folder_is_told_how_to_look_deeper(tmp_path: Path) -> None:
    """In a configuration max_depth does that, and the line above has it."""
    write_job(tmp_path / "logs/1/2/3/4", tasks=1)
    missed = f"{tmp_path}/logs: 1 folder at max_depth 3 holds more folders, in which was not looked"
    *_, line, hint = status(tmp_path / "logs").err.splitlines()
    assert (line.startswith(missed), hint) == (True, "--max-depth 4 looks one level deeper")
    config = tmp_path / "config.yaml"
    config.write_text(f"roots: [{tmp_path}/logs]")
    assert status(config).err.splitlines()[-1].startswith(missed)


def test_sorting_is_by_name_unless_told_otherwise(make_job: Callable[..., Path]) -> None:
    make_job("a", tasks=2, completed=[0, 1])
    make_job("b", tasks=2, completed=[0])
    root = make_job("c", tasks=3, completed=[0]).parent
    assert list(status(root, "--json").jobs) == ["a", "b", "c"]
    assert list(status(root, "--json", "--sort", "progress").jobs) == ["c", "b", "a"]
    assert list(status(root, "--json", "--sort", "attention").jobs)[-1] == "a"


# --- Exit codes and bad input


@pytest.mark.parametrize(
    ("completed", "option", "code"),
    [
        ([0, 1], (), 0),
        ([0], (), 0),
        ([0, 1], ("--fail-incomplete",), 0),
        ([0], ("--fail-incomplete",), 3),
        ([0], ("--fail-incomplete", "-hc"), 3),
    ],
)
def test_exit_codes_are_for_scripts(
    make_job: Callable[..., Path], completed: list[int], option: tuple[str, ...], code: int
) -> None:
    root = make_job("j", tasks=2, completed=completed).parent
    assert status(root, *option).code == code


def test_whatever_could_not_be_read_is_in_the_exit_code(make_job: Callable[..., Path]) -> None:
    """A folder in which jobs may lie, and the logs that were asked for."""
    root = make_job("j", tasks=3, completed=[0, 1]).parent
    (root / "j/logs").mkdir()
    assert status(root, "--missing", "--failed").code == 0
    (root / "j/logs").chmod(0)
    try:
        assert status(root).code == 0
        for asked in ("--missing", "--failed"):
            run = status(root, asked)
            assert (run.code, "its logs cannot be " in run.out) == (1, True)
        (job,) = status(root, "--missing", "--json").json["jobs"]
        assert job["missing_logs_error"].startswith("denied: ")
    finally:
        (root / "j/logs").chmod(0o755)
    write_marker(root / "j", "00002", time.time() - 60)
    closed = root / "closed"
    closed.mkdir(mode=0)
    try:
        assert (status(root).code, status(root, "--strict").code) == (1, 3)
        assert status(root, "-p", "closed/a-job").code == 1  # it is no such job itself
    finally:
        closed.chmod(0o755)
    assert (status(root).code, status(root, "--strict").code) == (0, 0)


def test_a_job_that_is_run_again_as_a_whole_is_not_complete_whatever_its_markers_say(
    make_job: Callable[..., Path],
) -> None:
    job = make_job("j", tasks=2, completed=[0, 1])
    launch = time.time() - 3000
    write_executor(job, tasks=2, launch=launch, skip_completed=False)
    write_marker(job, "00001", launch + 600)
    run = status(job.parent, "--fail-incomplete", "-hc", "--json", "--missing")
    found = run.jobs["j"]
    assert (run.code, found["state"]) == (3, "running")
    assert (found["tasks_completed"], found["tasks_completed_since_launch"]) == (2, 1)
    assert (found["remaining_seconds"], found["eta_timestamp"]) == (None, None)
    assert found["overdue_seconds"] == pytest.approx(1800, abs=60)
    assert run.json["totals"]["jobs_completed"] == 0
    assert run.json["totals"]["jobs_in_state"]["running"] == 1
    assert " overdue:30m" in status(job.parent).out
    again = "has 1 of 2 markers from an earlier launch, and the last one runs every task again"
    assert f"\n\nj {again}\n\nSummary" in status(job.parent, "--missing").out
    (job / "completions/00000").unlink()
    assert "\n\nj misses 0\n\nSummary" in status(job.parent, "--missing").out
    write_marker(job, "00000", launch - 50)
    write_executor(job, tasks=3, launch=launch, skip_completed=False)
    assert f"\n\nj misses 2; {again}\n\nSummary" in status(job.parent, "--missing").out
    write_executor(job, tasks=2, launch=launch, skip_completed=False)
    write_marker(job, "00000", launch + 2900)
    assert status(job.parent, "--fail-incomplete").code == 0


def test_a_folder_without_jobs_is_said_to_be_one_and_is_not_complete(root: Path) -> None:
    run = status(root)
    assert (run.code, run.out) == (0, "")
    assert run.err == f"{root}: no jobs found, up to 3 folders deep (--max-depth)\n"
    assert status(root, "--fail-incomplete").code == 3
    named = status(root, "-p", "x").err
    assert named.startswith(f"{root}: no jobs found whose name starts with x")
    inner = root / "completions"
    inner.mkdir()
    assert status(inner).err == (
        f"{inner}: no jobs found, up to 3 folders deep (--max-depth); "
        "completions/ may lie inside a job, one folder up\n"
    )


def test_prefixes_that_contradict_each_other_are_both_named(make_job: Callable[..., Path]) -> None:
    root = make_job("CC-1", tasks=1).parent
    make_job("CC-2", tasks=1)
    file = root / "c.yaml"
    file.write_text(f"roots: [{{name: r, url: {root}, prefix: CC-1}}]\n")
    run = status(file, "-p", "CC-2")
    assert (run.code, run.out) == (0, "")
    assert run.err == (
        "r: no jobs found whose name starts with CC-1 (as configured) and with CC-2 (--prefix), "
        "up to 3 folders deep (--max-depth)\n"
        "r: prefix and --prefix leave out the one job found\n"
    )
    assert set(status(file, "-p", "C", "--json").jobs) == {"CC-1"}


def test_a_root_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    write_job(tmp_path / "good" / "j", tasks=1, completed=[0])
    bad = tmp_path / "bad"
    bad.mkdir(mode=0)
    run = status(bad, tmp_path / "good")
    assert run.code == 1
    assert run.err == f"{bad} cannot be read: denied: Permission denied\n"
    assert run.summary == (1, 1, 1, 1)
    assert status(bad, "--json").json["roots"][0]["error"] == "denied: Permission denied"


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("nowhere", "nowhere: does not exist"),
        ("s3:/b/x", "s3:/b/x: does not exist; if it is a URL, it begins with s3://"),
        ("s3//b/x", "s3//b/x: does not exist; if it is a URL, it begins with s3://"),
        ("S3://b/x", "S3://b/x: the scheme before :// is not valid; did you mean s3://?"),
        ("s3://b\x0a/x", "s3://b"),
        ("localhost:10170", "localhost:10170: does not exist; if it is a URL, it begins with http"),
        ("host:80/x", "host:80/x: does not exist; if it is a URL, it begins with http://"),
        ("", "'': names no folder"),
        ("nowhere.yaml", "nowhere.yaml: does not exist"),
        ("link", "link: is a link that leads nowhere"),
        ("ring", "ring: cannot be looked at: Too many levels of symbolic links"),
        ("closed/j", "closed/j: cannot be looked at: Permission denied"),
        ("file/j", "file/j: cannot be looked at: Not a directory"),
        ("file", "file: is a file, and no configuration (*.yaml, *.yml)"),
        ("j/executor.json", "j/executor.json: is a job's file; name its folder, or one above"),
        ("nope://x/y", "nope://x/y: no storage is known for nope://"),
        ("dropbox://b/x?k=CANARY", "dropbox://b/x: dropbox:// needs a package that is not"),
        ("s3://k:CANARY@b/x", "s3://b/x: credentials do not belong into a URL"),
        ("s3://k:CAN/ARY@b/x", "s3://b/x: credentials do not belong into a URL"),
        ("s3://k:CANARY?z@b/x", "s3://b/x: credentials do not belong into a URL"),
        ("s3://", "s3://: nothing follows the scheme"),
        ("bad.yaml", "bad.yaml:1: roots: must not be empty"),
    ],
)
def test_bad_input_is_one_clear_line(root: Path, argument: str, says: str) -> None:
    write_job(root / "j", tasks=1)
    (root / "file").touch()
    (root / "link").symlink_to("gone")
    (root / "ring").symlink_to("ring")
    (root / "closed").mkdir(mode=0)
    (root / "bad.yaml").write_text("roots: []")
    run = status(argument, cwd=root)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(says), run.err
    assert run.err.count("\n") == 1
    assert "CANARY" not in run.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("--watch",),
        ("--watch", "--json"),
        ("--interval", "2s"),
        ("--watch", "--interval", "soon"),
        ("--watch", "--interval", "1ms"),
        ("--sort", "colour"),
        ("--max-depth", "-1"),
    ],
)
def test_wrong_usage_is_code_2(root: Path, arguments: tuple[str, ...]) -> None:
    run = status(root, *arguments)
    assert (run.code, run.out) == (2, "")
    assert "Traceback" not in run.err


def test_names_that_the_output_cannot_show_end_nothing(make_job: Callable[..., Path]) -> None:
    root = make_job("日本", tasks=1).parent
    run = status(root, environment={"PYTHONIOENCODING": "ascii"})
    assert (run.code, run.err) == (0, "")
    assert "\\u65e5\\u672c" in run.out


def test_a_reader_that_leaves_early_sees_no_traceback(make_job: Callable[..., Path]) -> None:
    root = make_job("j", tasks=1).parent
    for number in range(2000):
        write_executor_in(root / f"job-{number:04d}")
    command = " ".join([*COMMAND, "status", str(root), "| head -1"])
    run = subprocess.run(["bash", "-c", command], capture_output=True, check=False, timeout=60)
    assert (run.stdout.split()[0], run.stderr) == (b"JOB", b"")


def write_executor_in(folder: Path) -> None:
    folder.mkdir()
    write_executor(folder, tasks=3)


# --- On a terminal


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Path]:
    """A configuration whose storage takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        options = {"endpoint_url": url, "key": "k", "secret": "s"}
        root = {"url": "s3://bucket/x", "name": "silent", "storage_options": options}
        file = tmp_path / "silent.yaml"
        file.write_text(json.dumps({"roots": [root], "scan": {"timeout": "3s"}}))
        yield file


def test_a_long_scan_tells_how_far_it_is_and_leaves_no_trace(silent: Path) -> None:
    with terminal([*COMMAND, "status", str(silent)]) as drawn:
        assert drawn.wait() == 1
    assert re.search(r"scanning: \d+ folders, \d+ jobs read, ", drawn.text)
    assert drawn.raw.split(b"scanning: ")[-1].count(b"\r\x1b[K") == 1
    run = status(silent)
    assert run.err.startswith("silent cannot be read: timeout: ")
    assert run.err.count("\n") == 1


def test_a_scan_that_takes_too_long_for_somebody_ends_at_once(silent: Path) -> None:
    silent.write_text(silent.read_text().replace("3s", "3m"))
    with terminal([*COMMAND, "status", str(silent)]) as drawn:
        drawn.wait_for(lambda text: "scanning: " in text)
        drawn.press(CONTROL_C)
        assert drawn.wait() == 130
    assert "Traceback" not in drawn.text


# --- Watching


def test_watching_sees_progress_new_jobs_and_relaunches(make_job: Callable[..., Path]) -> None:
    now = time.time()
    done = make_job("done", tasks=2, completed=[0, 1], launch=now - 500)
    root = make_job("running", tasks=4, completed=[0], launch=now - 300).parent
    with terminal([*COMMAND, "status", str(root), "--watch", "--interval", "1s"]) as drawn:
        drawn.wait_for(lambda text: "3/6 (50 %) tasks completed" in text)
        assert "+" not in drawn.text
        (root / "running/completions/00003").touch()
        drawn.wait_for(lambda text: re.search(r"running +▶ running +2/4 +\+1 ", text))
        write_job(root / "new", tasks=5, completed=[0], launch=time.time() - 100)
        drawn.wait_for(lambda text: re.search(r"new +▶ running +1/5 +\+1 ", text))
        write_executor(done, tasks=3, launch=time.time())
        drawn.wait_for(lambda text: re.search(r"done +… waiting +2/3 ", text))
        (root / "running/executor.json").write_text("{")
        drawn.wait_for(lambda text: re.search(r"running +✗ unreadable .* is not valid", text))
        drawn.press(CONTROL_C)
        assert drawn.wait() == 0
    assert "Traceback" not in drawn.text
    assert drawn.raw.rindex(b"\x1b[?25h") > drawn.raw.rindex(b"\x1b[?25l")  # the cursor is back


@pytest.mark.parametrize("how", [(), ("--watch",)])
def test_names_cannot_turn_the_writing_direction(
    make_job: Callable[..., Path], how: Sequence[str]
) -> None:
    """As of Trojan Source, CVE-2021-42574. In JSON a name is as it is."""
    turned = "exe.\u202egpj"
    root = make_job(f"{turned}/j", tasks=2, completed=[0], logs=[1]).parent.parent
    with terminal([*COMMAND, "status", str(root), *how]) as drawn:
        text = drawn.wait_for(lambda text: "exe." in text and "Summary" in text)
        assert "exe.\\u202egpj/j" in text
        assert "\u202e" not in text
    empty = root / f"empty{turned}"
    empty.mkdir()
    gone = status(root / f"gone{turned}")
    run = status(root, empty, "--missing")
    assert "exe.\\u202egpj/j misses 1" in run.out
    assert "exe.\\u202egpj/j/logs/task_00001.log" in run.out
    assert "exe.\\u202egpj: no jobs found" in run.err
    assert "goneexe.\\u202egpj: does not exist" in gone.err
    assert "\u202e" not in run.out + run.err + gone.err
    assert list(status(root, "--json").jobs) == [f"{turned}/j"]


def test_watching_shows_what_fits_and_what_needs_attention_first(
    make_job: Callable[..., Path],
) -> None:
    for number in range(30):
        make_job(f"job-{number:02d}", tasks=2, completed=[0, 1])
    (make_job("zzz", tasks=1) / "executor.json").write_text("[]")
    root = make_job("waits", tasks=1).parent
    command = [*COMMAND, "status", str(root), "--watch", "--interval", "1s"]
    with terminal(command, columns=80, rows=12) as drawn:
        text = drawn.wait_for(lambda text: "more" in text)
        drawn.press(CONTROL_C)
        drawn.wait()
    lines = text[text.index("JOB") :].splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["zzz", "waits", "job-00"]
    assert re.search(r"… and 2\d more", text)


def test_watching_storage_that_does_not_answer_goes_on_drawing(
    silent: Path, make_job: Callable[..., Path]
) -> None:
    root = make_job("j", tasks=2, completed=[0], launch=time.time() - 100).parent
    command = [*COMMAND, "status", str(silent), str(root), "--watch", "--interval", "1s"]
    with terminal(command) as drawn:
        drawn.wait_for(lambda text: "first scan: " in text and "1/2" in text)
        (root / "j/completions/00001").touch()
        drawn.wait_for(lambda text: "2/2" in text)
        drawn.wait_for(lambda text: "silent cannot be read: timeout: " in text)
        drawn.wait_for(lambda text: re.search(r"scanned .* q quit", text))
        drawn.press(CONTROL_C)
        assert drawn.wait() == 0


def test_states_in_json_are_those_of_the_report(archived: Run) -> None:
    assert {job["state"] for job in archived.jobs.values()} <= set(STATES)
    assert archived.json["time"] > LAUNCH


def test_by_has_a_line_for_each_stage_in_place_of_each_job(tmp_path: Path) -> None:
    for dump in ("CC-MAIN-2014-23", "CC-MAIN-2014-35"):
        write_job(tmp_path / "base_processing" / dump, tasks=4, completed=range(4))
        write_job(tmp_path / "tokenize" / dump, tasks=3, completed=[0])
    run = status(tmp_path, "--by", "stage")
    assert [line.split()[0] for line in run.out.splitlines()] == [
        "STAGE", "tokenize/*", "base_processing/*", "Summary:",
    ]  # fmt: skip
    assert "2/6" in run.out
    assert (run.code, run.err, run.summary) == (0, "", (2, 4, 10, 14))
    parts = status(tmp_path, "--by", "item", "--json").json["parts"]
    assert [(part["value"], part["jobs"]) for part in parts] == [
        ("CC-MAIN-2014-23", 2), ("CC-MAIN-2014-35", 2),
    ]  # fmt: skip
    said = "no job has a dump; there are root, state, stage, item\n"
    assert status(tmp_path, "--by", "dump").err == said
    assert status(tmp_path, "--by", "stage", "--missing").code == 2
