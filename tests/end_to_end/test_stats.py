"""What the tasks of real jobs counted, and what datatrove itself merged of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.jobs import archives
from support.jobs.stats import Scanned
from support.jobs.step_pipelines import launch, launched, write_documents, write_tokenizer
from support.scans import Watch, jobs_of
from support.servers import BUCKET, S3Server

from exporter.config.settings import StorageOptions
from exporter.datatrove.stats import Stats, parse_stats
from exporter.model.job import Reading
from exporter.scanning.probes.times import times_of
from exporter.storage.base import Storage
from exporter.storage.local.storage import LocalStorage
from exporter.storage.s3.storage import S3Storage

ARCHIVES = ("real_jobs", "task_states", "slurm_stats")
UNTRUSTED = {
    "real_jobs/stale_fewer_tasks",
    "slurm_stats/relaunch_fewer",
    "task_states/local/relaunched",
    "task_states/local/two_pipelines",
}
"""Complete jobs whose ``stats.json`` does not hold all of their tasks: all were launched again."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: archives.unpack(f"{name}.tar.gz", tmp_path_factory.mktemp(name)) for name in ARCHIVES
    }


@pytest.fixture(scope="module")
def jobs(roots: dict[str, Path]) -> dict[str, tuple[Path, Reading]]:
    """Each readable job of the archives, first seen: its folder and its reading."""
    found: dict[str, tuple[Path, Reading]] = {}
    for name, root in roots.items():
        watch = Watch(root, read_stats="steps")
        for job in jobs_of(watch.scan()).values():
            if job.reading is not None:
                found[f"{name}/{job.name}"] = (root / job.name, job.reading)
        watch.close()
    return found


def numbers(stats: Stats) -> list[object]:
    steps = [(step.name, *step.outcomes()) for step in stats.steps()]
    return [stats.documents_read, stats.documents_written, stats.tokens, *steps]


def added_by_hand(folder: Path, reading: Reading) -> list[object]:
    """Over the ranks whose marker counts."""
    sums: Stats | None = None
    for rank in reading.ranks:
        file = folder / "stats" / f"{rank:05d}.json"
        if rank < reading.tasks:
            stats = parse_stats(file.read_bytes())
            sums = stats if sums is None else sums.plus(stats)
    assert sums is not None
    return numbers(sums)


def test_no_merged_stats_are_trusted_that_lack_tasks(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    complete = {
        name: reading
        for name, (folder, reading) in jobs.items()
        if reading.is_complete and (folder / "stats.json").exists()
    }
    assert len(complete) > 25
    assert {name for name, reading in complete.items() if reading.stats is None} == UNTRUSTED


def test_sums_are_those_that_datatrove_merged_where_these_are_trusted(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    compared = 0
    for name, (folder, reading) in jobs.items():
        stats = reading.stats
        if stats is None or stats.stats is None:
            continue
        if reading.is_complete:
            assert stats.tasks == reading.tasks, name
            assert numbers(stats.stats) == added_by_hand(folder, reading), name
            merged = parse_stats((folder / "stats.json").read_bytes())
            assert numbers(stats.stats) == numbers(merged), name
            compared += 1
        elif not reading.repeats_completed:
            assert stats.tasks == reading.tasks_completed, name
            assert numbers(stats.stats) == added_by_hand(folder, reading), name
    assert compared > 20


def test_ranks_that_a_new_run_did_not_complete_again_are_not_in_the_sums(
    jobs: dict[str, tuple[Path, Reading]],
) -> None:
    """Four of four have a marker; one of them is of the run before."""
    _, reading = jobs["task_states/local/noskip"]
    assert reading.tasks_completed == 4
    assert reading.stats is not None
    assert reading.stats.tasks == 3


def test_two_pipelines_in_one_folder_are_found(roots: dict[str, Path]) -> None:
    """A real run: all six tasks are done, three by each of two pipelines."""
    job = roots["task_states"] / "local/two_pipelines"
    last = max((job / "completions").iterdir(), key=lambda marker: marker.stat().st_mtime_ns)
    kept = last.rename(job / last.name)
    watch = Watch(roots["task_states"], include=("local/two_pipelines",))
    assert watch.reading("local/two_pipelines").mixed_pipelines is True
    kept.rename(last)
    reading = watch.reading("local/two_pipelines")
    watch.close()
    assert reading.is_complete
    assert reading.mixed_pipelines is True


def test_relaunches_of_one_pipeline_are_not_mixed(jobs: dict[str, tuple[Path, Reading]]) -> None:
    told = {name: r.mixed_pipelines for name, (_, r) in jobs.items()}
    assert [name for name, is_mixed in told.items() if is_mixed] == []
    assert [name for name, is_mixed in told.items() if is_mixed is False]


# Pipelines that are launched now


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Eighty documents in four files, and a tokenizer that knows each word."""
    folder = tmp_path_factory.mktemp("source")
    return {
        "data": str(write_documents(folder / "data", files=4, documents=20)),
        "tokenizer": str(write_tokenizer(folder / "tokenizer.json")),
    }


@pytest.fixture
def watching() -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def watch(root: Path | str, **options: Any) -> Watch:
        started.append(Watch(root, **{"read_stats": "steps", **options}))
        return started[-1]

    yield watch
    for one in started:
        one.close()


def in_environment(server: S3Server) -> dict[str, str]:
    """Where its processes find it."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
    }


KEPT = {
    "00_reader_jsonl": {"in": 80},
    "01_filter_lambda": {"in": 80, "out": 52, "dropped": 28},
    "02_filter_lambda": {"in": 52, "out": 44, "dropped": 8},
    "03_own_dd_step_a_b_long_long_long_long_long_long_lon": {},
    "04_tokenizer_counter": {},
    "05_writer_jsonl": {"in": 44},
}
"""Of each file's twenty documents seven are short; and of the others two have a 7 at their end."""


def outcomes(reading: Reading) -> dict[str, dict[str, int]]:
    assert reading.stats is not None
    assert reading.stats.stats is not None
    return {step.name: dict(step.outcomes()) for step in reading.stats.stats.steps()}


def test_the_steps_of_a_run_add_up_as_datatrove_merges_them(
    source: dict[str, str], tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    """Seen after half of it, after all, and by an exporter that first sees it when it is done."""
    where = {**source, "output": str(tmp_path / "output")}
    job = tmp_path / "logs/job"
    watch = watching(tmp_path / "logs")
    launch("filters", job, executor={"tasks": 4, "local_tasks": 2}, **where)
    half = watch.reading("job")
    assert half.stats is not None
    assert (half.stats.tasks, half.is_complete) == (2, False)
    assert outcomes(half)["00_reader_jsonl"] == {"in": 40}
    rest = {"tasks": 4, "local_tasks": 2, "local_rank_offset": 2}
    launch("filters", job, executor=rest, **where)
    reading = watch.reading("job")
    assert reading.stats is not None
    assert reading.stats.stats is not None
    assert (reading.stats.tasks, reading.stats.stats.tokens) == (4, 44 * 10)
    assert outcomes(reading) == KEPT
    launch("filters", tmp_path / "logs/at once", executor={"tasks": 4}, **where)
    at_once = watching(tmp_path / "logs").reading("at once")
    assert outcomes(at_once) == KEPT
    merged = parse_stats((tmp_path / "logs/at once/stats.json").read_bytes())
    assert numbers(merged) == numbers(reading.stats.stats)


def test_a_script_that_changed_between_two_launches_is_noticed(
    source: dict[str, str], tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    where = {**source, "output": str(tmp_path / "output")}
    watch = watching(tmp_path / "logs", read_stats="never")
    launch("filters", tmp_path / "logs/job", executor={"tasks": 4, "local_tasks": 2}, **where)
    assert watch.reading("job").mixed_pipelines is None
    launch("other", tmp_path / "logs/job", executor={"tasks": 4}, **where)
    reading = watch.reading("job")
    assert reading.is_complete
    assert reading.mixed_pipelines is True
    assert reading.stats is None


@pytest.mark.parametrize("where", ["disk", "s3"])
def test_tasks_count_once_over_a_failure_a_relaunch_and_a_run_of_all_of_them(
    source: dict[str, str],
    tmp_path: Path,
    s3_server: S3Server,
    watching: Callable[..., Watch],
    where: str,
) -> None:
    """By one who watches; who first sees it later has the same numbers, or none."""
    logs, options = str(tmp_path / "logs"), {}
    given: dict[str, Any] = {"output": str(tmp_path / "output")}
    if where == "s3":
        logs = f"s3://{BUCKET}/relaunched"
        options = {"storage_options": StorageOptions(s3_server.options)}
        given["environment"] = in_environment(s3_server)
    watch, seen = watching(logs, **options), []
    for more in (
        {"fails_at": 2},
        {},
        {"executor": {"tasks": 4, "skip_completed": False}, "fails_at": 1},
        {"executor": {"tasks": 4, "skip_completed": False}},
    ):
        order = {"executor": {"tasks": 4}, **source, **given, **more}
        with launched("steady", f"{logs}/job", **order) as run:
            run.communicate(timeout=300)
        stats = watch.reading("job").stats
        assert stats is not None
        assert stats.stats is not None
        seen.append((stats.tasks, stats.stats.documents_written, stats.stats.tokens))
    assert seen == [(n, n * 20, n * 151) for n in (2, 4, 1, 4)]
    reading = watching(logs, **options).reading("job")
    assert reading.stats is not None
    assert reading.stats.stats is not None
    assert reading.stats.stats.tokens == 4 * 151


def test_the_stages_of_minhash_are_read(
    source: dict[str, str], tmp_path: Path, watching: Callable[..., Watch]
) -> None:
    """Two of them count no documents. The environment may colour logs, but not what is counted."""
    where = {**source, "output": str(tmp_path / "output")}
    environment = {"DATATROVE_COLORIZE_LOGS": "1", "DATATROVE_COLORIZE_LOG_FILES": "1"}
    for stage, tasks in (("signatures", 4), ("buckets", 2), ("cluster", 1), ("dedup", 4)):
        folder = tmp_path / "logs" / stage
        launch(stage, folder, environment=environment, executor={"tasks": tasks}, **where)
    found = jobs_of(watching(tmp_path / "logs").scan())
    readings = {name: job.reading for name, job in found.items() if job.reading is not None}
    assert {name: outcomes(reading) for name, reading in readings.items()} == {
        "signatures": {"00_reader_jsonl": {"in": 80}, "01_dedup_minhash_stage_1": {"in": 80}},
        "buckets": {"00_dedup_minhash_stage_2": {}},
        "cluster": {"00_dedup_minhash_stage_3": {}},
        "dedup": {
            "00_reader_jsonl": {"in": 80},
            "01_dedup_minhash_stage_4": {"in": 80, "out": 2, "dropped": 78},
            "02_writer_jsonl": {"in": 2},
        },
    }


def test_a_run_that_logs_to_s3_is_read_there(
    source: dict[str, str], tmp_path: Path, s3_server: S3Server, watching: Callable[..., Watch]
) -> None:
    url = f"s3://{BUCKET}/documents"
    environment = in_environment(s3_server)
    where = {**source, "output": str(tmp_path / "output"), "environment": environment}
    watch = watching(url, storage_options=StorageOptions(s3_server.options))
    launch("filters", f"{url}/job", executor={"tasks": 4, "local_tasks": 3}, **where)
    first = watch.reading("job")
    assert first.stats is not None
    assert first.stats.tasks == 3
    rest = {"tasks": 4, "local_tasks": 1, "local_rank_offset": 3}
    launch("filters", f"{url}/job", executor=rest, **where)
    assert outcomes(watch.reading("job")) == KEPT
    launch("filters", f"{url}/at once", executor={"tasks": 4}, **where)
    options = StorageOptions(s3_server.options)
    assert outcomes(watching(url, storage_options=options).reading("at once")) == KEPT


@pytest.mark.parametrize(
    ("second", "is_mixed"),
    [
        (("other", {"tasks": 4}), True),
        (("filters", {"tasks": 4}), False),
        (("other", {"tasks": 6}), True),
        (("other", {"tasks": 4, "skip_completed": False}), None),
    ],
    ids=["another", "the same", "another, with more tasks", "all of it again"],
)
@pytest.mark.parametrize("place", ["local", "s3"])
def test_an_exporter_that_first_sees_two_launches_knows_whether_they_were_of_one_pipeline(
    source: dict[str, str],
    tmp_path: Path,
    s3_server: S3Server,
    place: str,
    second: tuple[str, dict[str, object]],
    *,
    is_mixed: bool | None,
) -> None:
    """As after a restart: all is complete, and nothing was seen before."""
    where = {**source, "output": str(tmp_path / "output")}
    environment: dict[str, str] = {}
    storage: Storage = LocalStorage(str(tmp_path / "logs"))
    folder = str(tmp_path / "logs/job")
    if place == "s3":
        url = f"s3://{BUCKET}/mixed-{second[0]}-{len(second[1])}-{second[1]['tasks']}"
        environment, storage = in_environment(s3_server), S3Storage(url, s3_server.options, 2)
        folder = f"{url}/job"
    first = {"tasks": 4, "local_tasks": 2}
    launch("filters", folder, executor=first, environment=environment, **where)
    time.sleep(1.1)  # object stores tell whole seconds
    pipeline, executor = second
    launch(pipeline, folder, executor=executor, environment=environment, **where)
    read_stats = "never" if place == "local" else "totals"
    reading = Scanned(storage, "job", read_stats=read_stats).scan()
    assert reading.is_complete
    times = times_of(storage, ("job",), range(reading.tasks)).values()
    is_told = max(times) / 1e9 != reading.launch_timestamp  # of the launch's own second none tells
    assert reading.mixed_pipelines is (is_mixed if is_told else None)
