"""The queries in the README and in ``docs/``, asked of a real Prometheus that knows the shipped
rules and scrapes an exporter with something of everything."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.folders import FAILED_LOG, write_job
from support.jobs.stats import a_pipeline, complete
from support.jobs.task_states import unpack
from support.monitoring import RULE_FILES, SCRAPE_JOB
from support.paths import PROJECT
from support.processes import Prometheus, prometheus, serving
from support.servers import HOST, free_ports, wait_until

DAY = 86_400.0
PATTERNS = ["{stage}/{dump}"]
README = (PROJECT / "README.md").read_text()
QUESTIONS = dict(re.findall(r"^\| ([^|]+\?) \| `(.+)` \|$", README, re.MULTILINE))
SHOWN = sorted(
    {
        (page.name, query)
        for page in PROJECT.glob("docs/**/*.md")
        for block in re.findall(r"```promql\n(.*?)```", page.read_text(), re.DOTALL)
        # One query for each line, unless it goes on over several.
        for query in (
            [block] if re.search(r"^[ )]", block, re.MULTILINE) else block.strip().split("\n")
        )
    }
)
UNFINISHED = {"extract/idle", "extract/slow", "filter/relaunched", "filter/left", "tokenize/broken"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the jobs that Prometheus learns of."""
    return tmp_path_factory.mktemp("queries")


@pytest.fixture(scope="module")
def watching(folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that has seen the exporter for a few seconds, and a target that is down."""
    launches = unpack(folder / "launches") / "local"
    jobs, now = folder / "jobs", time.time()
    write_job(jobs / "extract/done", tasks=4, completed=range(4), launch=now - DAY)
    write_job(jobs / "extract/idle", tasks=9, completed=range(5), launch=now - DAY)
    write_job(jobs / "extract/slow", tasks=3, completed=[0], launch=now - 120, seconds_between=100)
    write_job(jobs / "filter/relaunched", tasks=2, completed=[0], stray=["00007"], launch=now - 300)
    write_job(jobs / "filter/left", tasks=2, launch=now - 30 * DAY)
    write_job(jobs / "tokenize/broken", tasks="many", launch=now)
    _write_pipeline(folder / "pipeline", now)
    roots = [
        {"name": "jobs", "url": str(jobs), "labels": PATTERNS},
        {"name": "launches", "url": str(launches), "abandoned_after": "10000d"},
        {
            "name": "pipeline",
            "url": str(folder / "pipeline"),
            "labels": PATTERNS,
            "stage_order": ["first", "second"],
            "read_stats": "totals",
        },
        {"name": "gone", "url": str(folder / "gone")},
    ]
    rules = [str(file) for file in RULE_FILES]
    (nobody,) = free_ports(1)
    with serving(folder, roots=roots, scan={"interval": "1s"}) as exporter:
        exporter.wait_until_ready()
        targets = [{"targets": [f"{HOST}:{port}" for port in (exporter.port, nobody)]}]
        with prometheus(
            folder,
            exporter.port,
            {"rule_files": rules},
            job_name=SCRAPE_JOB,
            static_configs=targets,
        ) as server:
            wait_until(
                lambda: (
                    server.query("min_over_time(datatrove_root_scans_total[1m] offset 3s)")
                    and server.query("root_job_name:datatrove_job_blocked:group")
                    and server.query("root_stage:datatrove_stage_tasks_completed:ratio")
                ),
                "Prometheus has seen a few scans",
                seconds=120,
            )
            yield server


def _write_pipeline(folder: Path, now: float) -> None:
    """A stage blocked by one that failed, a stage that began before the one before it was done,
    a job whose tasks two pipelines ran, and one that counts tokens."""
    failed = write_job(folder / "first/a", tasks=2, completed=[0], launch=now - 3600)
    log = failed / "logs" / "task_00001.log"
    log.parent.mkdir()
    log.write_text(FAILED_LOG)
    os.utime(log, (now - 3000, now - 3000))
    write_job(folder / "second/a", tasks=2, launch=now - 300)
    write_job(folder / "first/b", tasks=2, completed=[0, 1], launch=now - 2000)
    write_job(folder / "second/b", tasks=2, completed=[0], launch=now - 3000)
    mixed = write_job(folder / "mixed/c", tasks=3, launch=now - 600)
    complete(mixed, 0, now - 900)
    complete(mixed, 1, now - 300, a_pipeline()[:2])
    complete(write_job(folder / "count/d", tasks=3, launch=now - 600), 0, now - 300)


def jobs_of(answer: list[tuple[dict[str, str], float]], root: str = "jobs") -> set[str | None]:
    return {labels.get("job_name") for labels, _ in answer if labels["root"] == root}


def test_the_readme_asks_eight_questions() -> None:
    assert len(QUESTIONS) == 8
    assert len(SHOWN) > 20


def test_which_jobs_are_not_done(watching: Prometheus) -> None:
    answer = watching.query(QUESTIONS["Which jobs are not done?"])
    assert jobs_of(answer) == UNFINISHED


def test_how_far_everything_is_together(watching: Prometheus) -> None:
    """Of nothing is that known while something is known of no job of a root."""
    query = QUESTIONS["How far is everything together?"]
    assert watching.query(query) == []
    (far,) = watching.query(query.replace("datatrove_", "datatrove_root_") + "{root='jobs'}")
    assert far[1] == 11 / 20


def test_which_jobs_wait_longer_than_ever_before(watching: Prometheus) -> None:
    answer = watching.query(QUESTIONS["Which jobs wait three times longer than ever before?"])
    assert jobs_of(answer) == {"extract/idle", "filter/relaunched"}


def test_why_tasks_fail(watching: Prometheus) -> None:
    answer = watching.query(QUESTIONS["Why do tasks fail?"])
    counts = {(labels["root"], labels["reason"]): count for labels, count in answer}
    assert counts.pop(("pipeline", "other")) == 1
    assert {root for root, _ in counts} == {"launches"}


def test_which_jobs_began_before_their_input_was_whole(watching: Prometheus) -> None:
    answer = watching.query(QUESTIONS["Which jobs began before their input was whole?"])
    assert jobs_of(answer, "pipeline") == {"second/b"}


def test_how_many_tokens_an_hour_are_counted(watching: Prometheus, folder: Path) -> None:
    """Nothing, until another task is done."""
    query = QUESTIONS["How many tokens an hour does each job count?"]
    paces = {labels["job_name"]: pace for labels, pace in watching.query(query)}
    assert paces["count/d"] == 0
    complete(folder / "pipeline" / "count/d", 1, time.time())
    wait_until(
        lambda: watching.query(f"{query} > 0"), "a task that was completed is counted", seconds=30
    )
    (grown,) = watching.query(f"{query} > 0")
    assert grown[0]["job_name"] == "count/d"


def test_what_cannot_be_read(watching: Prometheus) -> None:
    """Both a root and a job, in one answer."""
    answer = watching.query(QUESTIONS["What cannot be read?"])
    assert jobs_of(answer) == {"tokenize/broken"}
    assert jobs_of(answer, "gone") == {None}
    assert len(answer) == 2


def test_how_old_everything_is(watching: Prometheus) -> None:
    answer = watching.query(QUESTIONS["How old is what I see?"])
    assert {labels["root"] for labels, _ in answer} == {"jobs", "launches", "pipeline"}
    assert all(0 <= age < 60 for _, age in answer)


@pytest.mark.parametrize(("page", "query"), SHOWN, ids=lambda text: text.split()[0])
def test_a_query_of_a_page_finds_what_it_is_for(
    page: str, query: str, watching: Prometheus
) -> None:
    """Everything that the pages ask about is there, so an answer of nothing is a mistake in one."""
    assert watching.query(query), page
