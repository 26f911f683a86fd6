"""Shards together publish what one exporter does."""

import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.jobs.folders import write_job
from support.paths import PROJECT
from support.processes import COMMAND, Exporter, Labels, Page, prometheus
from support.servers import HOST, running, wait_until

from exporter.model.state import STATES

SHARDS = 3
RULES = PROJECT / "deploy" / "prometheus"
RULE_FILES = [str(RULES / f"datatrove-{name}.rules.yml") for name in ("recording", "stages")]


@pytest.mark.parametrize("option", [["--shard=3/3"], []])
def test_a_shard_that_is_none_is_wrong_usage(option: list[str], tmp_path: Path) -> None:
    """A pod that was scaled beyond N must not read what another one reads."""
    result = subprocess.run(
        [*COMMAND, "serve", "--config.file=unread.yaml", *option],
        check=False,
        env={"DATATROVE_EXPORTER_SHARD": "exporter-5/5"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 2
    assert "from 0 to N-1" in result.stderr


@contextmanager
def exporting(folder: Path, config: Path, shard: str | None) -> Iterator[Exporter]:
    log = folder / f"exporter-{(shard or 'all').replace('/', '-of-')}.log"
    environment = {"DATATROVE_EXPORTER_SHARD": shard} if shard else {}
    command = [*COMMAND, "serve", f"--config.file={config}", f"--web.listen-address={HOST}:0"]
    with running(command, log, environment) as process:
        exporter = Exporter(process, log).wait_for_port()
        exporter.wait_until_ready()
        yield exporter


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for number in range(12):
        write_job(tmp_path / "a" / f"job-{number}", tasks=5 + number, completed=range(number))
    write_job(tmp_path / "a" / "job-1" / "inner", tasks=2, completed=[0, 1])
    write_job(tmp_path / "a" / "in\nvalid\\", tasks=0)
    write_job(tmp_path / "a" / "left-out", tasks=1000)
    write_job(tmp_path / "b", tasks=7, completed=[1], stray=["00099"])
    for number in range(3):
        write_job(tmp_path / "b" / "deep" / f"job-{number}", tasks=3, completed=[2])
    file = tmp_path / "config.yaml"
    labels = """labels: ["{stage}-{number}", "{stage}-{number}/**"]"""
    file.write_text(
        f"roots: [{{name: a, url: a, exclude: [left-out], {labels}}}, {{name: b, url: b}}]\n"
    )
    return file


def test_a_reload_does_not_change_the_shard(tmp_path: Path, config: Path) -> None:
    with exporting(tmp_path, config, "1/3") as exporter:
        before = exporter.page().value("datatrove_root_jobs", root="a")
        assert before is not None
        assert 0 < before < 14
        config.write_text(config.read_text().replace("name: a,", "name: a, scan_interval: 5m,"))
        exporter.process.send_signal(signal.SIGHUP)
        exporter.wait_for(
            lambda page: page.value("datatrove_root_scan_interval_seconds", root="a") == 300,
            "the configuration is loaded again",
        )
        assert exporter.page().value("datatrove_root_jobs", root="a") == before


def samples(page: Page, wanted: Callable[[str], object]) -> dict[object, float]:
    return {key: value for key, value in page.samples.items() if wanted(key[0])}


SUMS = re.compile(
    r"datatrove_root_(jobs|tasks)(_completed|_unreadable|_hidden)?|datatrove_(jobs|tasks)"
    r"(_completed)?|datatrove_scan_errors_total|datatrove_stage_.*"
).fullmatch


def test_shards_together_publish_what_one_exporter_does(tmp_path: Path, config: Path) -> None:
    with ExitStack() as stack:
        start = lambda shard: stack.enter_context(exporting(tmp_path, config, shard))  # noqa: E731
        whole = start(None).page()
        parts = [start(f"exporter-{index}/{SHARDS}").page() for index in range(SHARDS)]

    def is_of_job(name: str) -> bool:
        return name.startswith("datatrove_job_")

    merged: dict[object, float] = {}
    for part in parts:
        own = samples(part, is_of_job)
        assert own, "a shard without jobs shows nothing"
        assert not own.keys() & merged.keys(), "a job is read twice"
        merged |= own
    assert merged == samples(whole, is_of_job)

    added = Counter[object]()
    for part in parts:
        added.update(samples(part, SUMS))
    assert {key: value for key, value in added.items() if value} == {
        key: value for key, value in samples(whole, SUMS).items() if value
    }
    assert whole.value("datatrove_jobs") == 18
    assert whole.value("datatrove_stage_tasks", root="a", stage="job") == sum(range(5, 17)) + 2
    assert whole.value("datatrove_exporter_shard") == 0
    assert whole.value("datatrove_exporter_shards") == 1
    assert [part.value("datatrove_exporter_shard") for part in parts] == [0, 1, 2]
    assert [part.value("datatrove_exporter_shards") for part in parts] == [SHARDS] * SHARDS
    assert all(part.value("datatrove_root_up", root="a") == 1 for part in parts)


def target(exporters: list[Exporter], **labels: str) -> dict[str, object]:
    return {"targets": [f"{HOST}:{exporter.port}" for exporter in exporters], "labels": labels}


def test_the_recording_rules_add_shards_up_and_count_replicas_once(
    tmp_path: Path, config: Path
) -> None:
    names = [
        *(f"root:datatrove_root_{what}:sum" for what in ("tasks", "jobs")),
        *(f"root:datatrove_root_{what}_completed:sum" for what in ("tasks", "jobs")),
        "root:datatrove_root_tasks_completed:ratio",
        "root_job_name:datatrove_job_tasks_completed:max",
        *(f"root_stage:datatrove_stage_{what}:sum" for what in ("jobs_in_state", "tasks")),
        "root_stage:datatrove_stage_tasks_completed:sum",
        "root_stage:datatrove_stage_tasks_completed:ratio",
    ]
    with ExitStack() as stack:
        whole = [stack.enter_context(exporting(tmp_path, config, None))]
        shards = [
            stack.enter_context(exporting(tmp_path, config, shard))
            for shard in ("0/3", "1/3", "2/3", "copy-1/3")
        ]
        targets = [target(whole, job="whole"), target(shards, job="shards")]
        server = stack.enter_context(
            prometheus(tmp_path, 0, {"rule_files": RULE_FILES}, static_configs=targets)
        )

        def recorded(job: str) -> dict[Labels, float]:
            query = f'{{__name__=~"{"|".join(names)}", job="{job}"}}'
            return {
                frozenset((key, text) for key, text in labels.items() if key != "job"): value
                for labels, value in server.query(query)
            }

        def agree() -> bool:
            one, many = recorded("whole"), recorded("shards")
            return bool(one) and one == many

        of_stages = len(STATES) + 3
        expected = 2 * 5 + 17 + of_stages  # roots, jobs that can be read, and one stage
        wait_until(lambda: len(recorded("whole")) == expected, "all is recorded", seconds=60)
        wait_until(agree, "shards and replica say what one exporter says", seconds=60)


def test_the_demo_can_write_without_serving(tmp_path: Path) -> None:
    jobs, log = tmp_path / "jobs", tmp_path / "demo.log"
    jobs.mkdir()
    with running([*COMMAND, "demo", "--write-only", f"--directory={jobs}"], log) as writer:
        config = tmp_path / "config.yaml"
        config.write_text(f"roots: [{jobs}]\nscan: {{interval: 1s}}\n")
        with exporting(tmp_path, config, None) as exporter:
            exporter.wait_for(
                lambda page: page.value("datatrove_tasks_completed"), "the writer makes progress"
            )
        writer.send_signal(signal.SIGTERM)
        assert writer.wait(timeout=30) == 0
    assert "Open http" not in log.read_text()
