"""What the documents tell to type of the program itself, typed: with a folder of jobs for their
``/data/logs``, and a real server for their bucket and for the address of a running exporter."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.jobs.folders import FAILED_LOG, write_job
from support.jobs.stats import complete
from support.paths import PROJECT
from support.processes import COMMAND, Exporter, prometheus, serving
from support.servers import BUCKET, HOST, S3Server, free_ports, running, wait_until
from support.told import told

README = (PROJECT / "README.md").read_text()
SMALLEST, SCRAPED = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
LOOKING = [
    *told("datatrove-exporter status"),
    *told("datatrove-exporter check-config"),
    *told("datatrove-exporter textfile"),
]
SERVING = told("datatrove-exporter serve")
DAY = 86_400.0


@dataclass(frozen=True)
class Here:
    """Where it is typed: a folder, the environment, and what stands for places elsewhere."""

    folder: Path
    environment: Mapping[str, str]
    places: Mapping[str, str]

    def really(self, text: str) -> str:
        for place, instead in self.places.items():
            text = text.replace(place, instead)
        return text


@pytest.fixture(scope="module")
def here(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """The jobs and files that the documents speak of."""
    folder = tmp_path_factory.mktemp("here")
    _write_jobs(folder / "logs")
    failed = write_job(folder / "fineweb/base_processing/CC-MAIN-2022-38", tasks=2, completed=[0])
    _write_failed_log(failed)
    client = s3_server.client()
    far = {"Bucket": BUCKET, "Key": "first-minutes/logs/far/executor.json"}
    client.put_object(**far, Body=b'{"world_size": 2}')
    program = folder / "bin" / "datatrove-exporter"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, COMMAND))} "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "JOB": str(folder / "logs" / "JOB_NAME"),
        "UPSTREAM": str(folder / "logs" / "tokenize"),
        "AWS_ENDPOINT_URL": s3_server.endpoint_url,
        "AWS_ACCESS_KEY_ID": s3_server.key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with serving(folder, roots=[str(folder / "logs")]) as exporter:
        exporter.wait_until_ready()
        places = {
            "/data/logs": str(folder / "logs"),
            "s3://my-bucket/logs": f"s3://{BUCKET}/first-minutes/logs",
            "/var/lib/node_exporter": str(folder),
            " CONFIG": " one.yaml",
            "https://monitor.example.org/datatrove/": f"http://{HOST}:{exporter.port}/",
        }
        typed = Here(folder, environment, places)
        config = f"{typed.really(SMALLEST)}  - name: fineweb\n    url: {folder / 'fineweb'}\n"
        (folder / "config.yaml").write_text(config)
        (folder / "one.yaml").write_text(f"roots: [{folder / 'logs'}]\n")
        yield typed
    client.delete_object(**far)


def _write_jobs(logs: Path) -> None:
    """Six jobs: complete, under way, with stats, failed, and left long ago."""
    now = time.time()
    write_job(logs / "tokenize", tasks=4, completed=range(4))
    write_job(logs / "minhash/buckets", tasks=9, completed=range(3), launch=now - 600)
    complete(write_job(logs / "minhash/filter", tasks=2, launch=now - 600), 0, now - 60)
    write_job(logs / "minhash/clusters", launch=now - 30 * DAY)
    _write_failed_log(write_job(logs / "JOB_NAME", tasks=2, completed=[0]))


def _write_failed_log(job: Path) -> None:
    log = job / "logs" / "task_00001.log"
    log.parent.mkdir()
    log.write_text(FAILED_LOG)


@pytest.mark.parametrize("typed", LOOKING)
def test_a_command_that_looks_finds_the_jobs(typed: str, here: Here) -> None:
    run = subprocess.run(
        ["bash", "-c", here.really(typed)],
        cwd=here.folder,
        env=here.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (run.returncode, run.stderr) == (0, "")
    if "textfile" in typed:
        assert "datatrove_jobs 7" in (here.folder / "datatrove.prom").read_text()
    else:
        assert re.search(SAYING[typed.split()[1]], run.stdout, re.MULTILINE), run.stdout


SAYING = {
    "status": r"^Summary: |^minhash/clusters .* abandoned",
    "check-config": r"^root .*(5 jobs|/logs$)",
}


@pytest.mark.parametrize("typed", SERVING)
def test_a_command_that_serves_is_scraped_as_the_readme_says(
    typed: str, here: Here, tmp_path: Path
) -> None:
    """But for the port: another exporter may run here."""
    (port,) = free_ports(1)
    line = f"cd {here.folder}; exec {here.really(typed)} --web.listen-address={HOST}:{port}"
    (scrape,) = yaml.safe_load(SCRAPED.replace("localhost:10170", f"{HOST}:{port}"))[
        "scrape_configs"
    ]
    with running(["bash", "-c", line], tmp_path / "log", here.environment) as process:
        exporter = Exporter(process, tmp_path / "log").wait_for_port()
        exporter.wait_until_ready()
        assert "minhash/buckets" in exporter.get("/").body.decode()
        with prometheus(tmp_path, port, **scrape) as server:
            wait_until(lambda: server.value("sum(datatrove_job_tasks_completed)"), "jobs are known")
            completed = "datatrove_job_tasks_completed{job_name='minhash/buckets'}"
            assert server.value(completed) == 3
            far = server.query("datatrove_job_tasks{job_name='far'}")
            assert len(far) == ("s3://" in typed or "config.yaml" in typed)
        assert exporter.end(signal.SIGINT) == 0


def test_help_says_what_each_command_does_in_a_sentence_that_ends() -> None:
    run = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    commands = run.stdout.partition("Commands:\n")[2].splitlines()
    assert len(commands) == 5
    assert not [line for line in commands if line.endswith("...") or not line.endswith(".")]
