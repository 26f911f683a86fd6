"""What the README tells a stranger to type, typed: with a folder of jobs for its ``/data/logs``."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from support.jobs import write_job
from support.paths import PROJECT
from support.processes import COMMAND, Exporter, prometheus
from support.servers import HOST, free_ports, running, wait_until

README = (PROJECT / "README.md").read_text()
TYPED = re.findall(r"^\$ datatrove-exporter (.+)$", README, re.MULTILINE)
SMALLEST, SCRAPED = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the jobs and the file that the README speaks of."""
    jobs = tmp_path / "logs"
    write_job(jobs / "tokenize", tasks=4, completed=range(4))
    write_job(jobs / "minhash/buckets", tasks=9, completed=range(3), launch=time.time() - 600)
    roots = SMALLEST.replace("/data/logs", str(jobs)).replace("  - s3://my-bucket/logs\n", "")
    (tmp_path / "config.yaml").write_text(roots)
    return tmp_path


def arguments(typed: str, here: Path) -> list[str]:
    return typed.replace("/data/logs", str(here / "logs")).split()


def test_these_commands_are_typed() -> None:
    assert TYPED == [
        "status /data/logs",
        "serve /data/logs",
        "check-config --reach config.yaml",
        "serve --config.file=config.yaml",
    ]


@pytest.mark.parametrize("typed", [each for each in TYPED if not each.startswith("serve")])
def test_a_command_that_looks_finds_the_jobs(typed: str, here: Path) -> None:
    command = [*COMMAND, *arguments(typed, here)]
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(r"1/2 \(50 %\) jobs completed|2 jobs \(0 unreadable\)", run.stdout)


@pytest.mark.parametrize("typed", [each for each in TYPED if each.startswith("serve")])
def test_a_command_that_serves_is_scraped_as_the_readme_says(typed: str, here: Path) -> None:
    """But for the port: another exporter may run here."""
    (port,) = free_ports(1)
    listen = f"--web.listen-address={HOST}:{port}"
    command = ["env", f"--chdir={here}", *COMMAND, *arguments(typed, here), listen]
    (scrape,) = yaml.safe_load(SCRAPED.replace("localhost:10170", f"{HOST}:{port}"))[
        "scrape_configs"
    ]
    with running(command, here / "log") as process:
        exporter = Exporter(process, here / "log").wait_for_port()
        exporter.wait_until_ready()
        assert "minhash/buckets" in exporter.get("/").body.decode()
        with prometheus(here, port, **scrape) as server:
            wait_until(lambda: server.value("datatrove_jobs") == 2, "Prometheus knows the jobs")
            assert server.value("datatrove_tasks_completed") == 7
        assert exporter.end(signal.SIGINT) == 0
