"""The runbooks' commands, each run as it stands there: on a folder, and on an object store, against
a real server."""

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.jobs.archives import unpack
from support.jobs.folders import FAILED_LOG, write_job
from support.jobs.stats import write_stats
from support.paths import PROJECT
from support.processes import COMMAND
from support.servers import S3Server, wait_until
from support.slurm.cluster import slurm
from support.storages.backends import BUCKET
from support.storages.mounts import command_path
from support.told import told

JOBS: dict[str, dict[str, str]] = {
    "unreadable": {"executor.json": '{"world_size": 4'},
    "stray": {
        "executor.json": json.dumps({"tasks": 2, "world_size": 2}),
        **{f"completions/{rank:05d}": "" for rank in range(5)},
    },
    "failed": {
        "executor.json": json.dumps({"start_method": "forkserver", "tasks": 2, "world_size": 2}),
        "completions/00000": "",
        "logs/task_00001.log": FAILED_LOG,
    },
    "mixed": {
        "executor.json": json.dumps({"tasks": 2, "world_size": 2}),
        "completions/00000": "",
        "stats/00000.json": '[\n    {\n        "name": "reader"\n    }\n]',
        "stats/00001.json": '[\n    {\n        "name": "filter"\n    }\n]',
    },
}
"""What lies in the bucket, below ``logs/``; each in the state that its runbook is about."""


def commands(alert: str) -> list[str]:
    """The lines of shell in a runbook that work on object stores: by rclone, or by the exporter's
    own command with its configuration."""
    text = (PROJECT / "docs" / "runbooks" / f"{alert}.md").read_text()
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for kind, block in blocks if not kind for line in block.splitlines()]
    return [line for line in lines if "REMOTE" in line or " CONFIG" in line]


IN_A_FOLDER = [
    *told("ls "),
    *(line for line in told("grep ") if "slurm_logs" not in line),
    *told("namei "),
    *told("python3 -c"),
    *told("tail "),
    *told("timeout "),
]
Shell = Callable[[str, str], str]


@pytest.fixture(scope="module")
def shell(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Runs a command for a job, with what runbooks/README.md says is set; what it prints."""
    folder, prefix = tmp_path_factory.mktemp("runbooks"), f"runbooks-{time.time_ns()}/logs"
    client = s3_server.client()
    for job, files in JOBS.items():
        for name, content in files.items():
            client.put_object(Bucket=BUCKET, Key=f"{prefix}/{job}/{name}", Body=content.encode())
    config = folder / "config.yaml"
    root = {"url": f"s3://{BUCKET}/{prefix}", "storage_options": s3_server.options}
    config.write_text(json.dumps({"roots": [root]}))
    program = folder / "datatrove-exporter"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, COMMAND))} "$@"\n')
    program.chmod(0o755)
    path = [str(folder), str(Path(command_path("rclone")).parent), os.environ["PATH"]]
    said = {
        "PATH": os.pathsep.join(path),
        "REMOTE": f":s3:{BUCKET}/{prefix}",
        "RCLONE_CONFIG": "",
        "RCLONE_S3_ENDPOINT": s3_server.endpoint_url,
        "RCLONE_S3_ACCESS_KEY_ID": s3_server.key,
        "RCLONE_S3_SECRET_ACCESS_KEY": s3_server.secret,
        "COLUMNS": "120",
    }

    def run(command: str, job: str) -> str:
        line = command.replace("JOB_NAME", job).replace(" CONFIG", f" {config}")
        result = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            env=os.environ | said,
            capture_output=True,
            text=True,
            check=False,
        )
        return result.stdout + result.stderr

    yield run
    for job, files in JOBS.items():
        for name in files:
            client.delete_object(Bucket=BUCKET, Key=f"{prefix}/{job}/{name}")


TOLD = {
    "DatatroveJobUnreadable": ("unreadable", ["not valid", "executor.json", "JSONDecodeError"]),
    "DatatroveJobStrayMarkers": ("stray", ["stray", "00004"]),
    "DatatroveJobFailed": ("failed", ["ZeroDivisionError"]),
    "DatatroveJobStalled": ("failed", ["ZeroDivisionError"]),
    "DatatroveJobMixedPipelines": ("mixed", ["completions/00000", '"name": "filter"']),
    "DatatroveJobVanished": ("stray", ["executor.json"]),
    "DatatroveJobsAbandoned": ("failed", ["1 failed"]),
    "DatatroveConfigReloadFailed": ("", ["root s3://"]),
    "DatatroveRootNeverScanned": ("", ["root s3://"]),
    "DatatroveScanStale": ("", ["root s3://"]),
}
"""For each runbook a job as it is about, and what its commands tell of it."""


@pytest.mark.parametrize("alert", TOLD)
def test_each_command_of_a_runbook_answers_and_says_what_it_is_for(
    shell: Shell, alert: str
) -> None:
    job, told = TOLD[alert]
    answers = {line: shell(line, job) for line in commands(alert)}
    # No job here is abandoned.
    assert all(answer or "grep abandoned" in line for line, answer in answers.items()), answers
    for text in told:
        assert any(text in answer for answer in answers.values()), (text, answers)
    wrong = ("command not found", "Usage:", "ERROR :", "Failed to")
    assert not any(each in answer for answer in answers.values() for each in wrong), answers


def test_of_a_job_that_is_gone_nothing_is_listed(shell: Shell) -> None:
    (listing,) = commands("DatatroveJobVanished")
    assert "executor.json" not in shell(listing, "gone")
    assert "executor.json" in shell(listing, "stray")


def test_every_runbook_with_commands_for_object_stores_is_tried() -> None:
    runbooks = (PROJECT / "docs" / "runbooks").glob("Datatrove*.md")
    assert {file.stem for file in runbooks if commands(file.stem)} == TOLD.keys()
    assert set(told("rclone lsl")) | set(told("rclone cat")) <= {
        line for alert in TOLD for line in commands(alert)
    }


@pytest.mark.parametrize("line", IN_A_FOLDER)
def test_each_command_for_a_folder_answers(line: str, tmp_path: Path) -> None:
    job = write_job(tmp_path / "job", tasks=2, completed=[0, 1], logs=[1])
    write_stats(job, 0)
    write_stats(job, 1)
    result = subprocess.run(
        ["bash", "-c", line.replace("ROOT", str(tmp_path)).replace("RANK", "00001")],
        env=os.environ | {"JOB": str(job), "UPSTREAM": str(job)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_the_element_of_a_rank_is_found_by_its_output(tmp_path: Path) -> None:
    """A job launched again for ranks 1 and 3: then rank 1 is the array's first element, not its
    second."""
    job = unpack("slurm_jobs.tar.gz", tmp_path) / "jobs" / "fail_once"
    (line,) = (line for line in told("grep ") if "slurm_logs" in line)

    def elements(rank: int) -> list[str]:
        run = subprocess.run(
            ["bash", "-c", line.replace("RANK", str(rank))],
            env=os.environ | {"JOB": str(job)},
            capture_output=True,
            text=True,
            check=True,
        )
        return [Path(found).stem for found in run.stdout.splitlines()]

    assert elements(1) == ["110_1", "224_0"]
    assert elements(0) == ["110_0"]


def test_only_what_waits_for_ever_is_cancelled_in_slurm(tmp_path: Path) -> None:
    """Another job in the queue has the same name, as all have whose scripts give none."""
    (line,) = (line for line in told("squeue ") if "scancel" in line)
    fails, waits = tmp_path / "fails.sh", tmp_path / "waits.sh"
    fails.write_text("#!/bin/sh\nexit 1\n")
    waits.write_text("#!/bin/sh\nsleep 600\n")
    named = ["--job-name=data_processing", "--output=/dev/null"]
    with slurm() as cluster:
        before = cluster.submit(fails, *named)
        blocked = f"--dependency=afterok:{before}"
        arrays = [cluster.submit(waits, *named, blocked, "--array=0-9%4") for _ in range(2)]
        queued = cluster.submit(waits, *named, "--hold", "--array=0-1")

        def is_blocked() -> bool:
            told = cluster.elements()
            return {told[f"{array}_0"].reason for array in arrays} == {"DependencyNeverSatisfied"}

        wait_until(is_blocked, "nothing will start", seconds=60)
        cluster.command("bash", "-c", f"set -o pipefail; {line}")
        states = {one.id: one.state for one in cluster.elements().values()}
    assert {states[f"{array}_{at}"] for array in arrays for at in range(10)} == {"CANCELLED"}
    assert {states[f"{queued}_{at}"] for at in range(2)} == {"PENDING"}
