"""The cron line, in the tables of a real cron daemon and of a real Slurm, about a job that
datatrove launched there."""

from collections.abc import Iterator

import pytest
from support.paths import PROJECT
from support.processes import Page
from support.servers import wait_until
from support.slurm.pipelines import COMPLETE
from support.slurm.system import HOME, USER, SlurmSystem, slurm_system
from support.told import told

pytestmark = pytest.mark.timeout(400)  # it waits for minutes to end

JOB = f"{HOME}/logs/tokenize"
FOLDER = "/var/lib/node_exporter/textfile"
OUTPUT = f"{FOLDER}/datatrove.prom"
TABLE = "deploy/slurm/datatrove-exporter.crontab"


@pytest.fixture(scope="module")
def cluster() -> Iterator[SlurmSystem]:
    """A job of four tasks, of which three run, and one is done; the exporter where pipx and uv
    put it; and the table, whose line runs every minute here instead of every five."""
    table = (PROJECT / TABLE).read_text()
    assert "\n*/5 " in table
    with slurm_system() as started:
        started.machine.run("install", "-d", "-o", USER, FOLDER)
        started.run("mkdir -p ~/.local/bin ~/logs ~/deploy/slurm")
        started.write(TABLE, table.replace("\n*/5 ", "\n* "))
        program = "/opt/datatrove-exporter/bin/datatrove-exporter"
        started.run(f"ln -s {program} ~/.local/bin/datatrove-exporter")
        started.write("datatrove-exporter.yaml", f"roots: [{HOME}/logs]\n")
        started.order(0, COMPLETE)
        started.launch({"job_name": "tokenize", "logging_dir": JOB, "tasks": 4})
        wait_until(
            lambda: started.machine.try_("ls", f"{JOB}/completions/00000").returncode == 0,
            "a task completes",
            seconds=90,
        )
        yield started


def completed(cluster: SlurmSystem) -> float | None:
    """How many of the job's four tasks are done, as the text file says if there is one."""
    page = Page(cluster.machine.try_("cat", OUTPUT).stdout)
    job = {"root": f"{HOME}/logs", "job_name": "tokenize"}
    assert page.value("datatrove_job_tasks", **job) in (None, 4)
    return page.value("datatrove_job_tasks_completed", **job)


def wait_for(cluster: SlurmSystem, tasks: int) -> None:
    wait_until(lambda: completed(cluster) == tasks, f"{tasks} are told to be done", seconds=150)


def test_cron_writes_the_text_file(cluster: SlurmSystem) -> None:
    (line,) = told("crontab ")
    cluster.run(line)
    wait_for(cluster, 1)
    cluster.run("crontab -r")
    cluster.run(f"rm {OUTPUT}")


def test_slurms_scrontab_writes_the_text_file(cluster: SlurmSystem) -> None:
    """Again and again, as its owner, with what the table says of time, memory and output."""
    cluster.order(1, COMPLETE)
    (line,) = told("scrontab deploy")
    cluster.run(line)
    scheduled = cluster.run("scontrol show job --oneliner | grep CronJob=Yes")
    assert " JobName=datatrove-exporter " in scheduled
    assert " TimeLimit=00:04:00 " in scheduled
    assert "mem=1G," in scheduled
    wait_for(cluster, 2)
    assert cluster.run(f"stat --format=%U {OUTPUT}") == f"{USER}\n"
    cluster.order(2, COMPLETE)
    wait_for(cluster, 3)
    assert cluster.run("cat ~/.datatrove-exporter.log") == ""
    assert cluster.run("ls") == "datatrove-exporter.yaml\ndeploy\nlogs\norders\n"


def test_slurms_table_is_edited(cluster: SlurmSystem) -> None:
    """On a terminal, by an editor that adds a line."""
    editor = f"{HOME}/.editor"
    cluster.write(editor, "#!/bin/sh\necho '0 5 * * * true' >> \"$1\"\n")
    cluster.run(f"chmod +x {editor}")
    (line,) = told("scrontab -e")
    cluster.run(f"EDITOR={editor} script --quiet --return --command '{line}' /dev/null")
    assert "\n0 5 * * * true\n" in cluster.run("scrontab -l")


def test_slurm_is_asked_and_told_as_the_runbooks_say(cluster: SlurmSystem) -> None:
    """Of a task that still runs."""
    running = "squeue --noheader --array --states=RUNNING --name=tokenize --format=%i"
    index = cluster.run(running).split()[-1]
    for line in told("squeue "):
        shown = cluster.run(line.replace("NAME", "tokenize"))
        assert (index in shown) == ("PENDING" not in line), line
    for line in told("scancel "):
        cluster.run(line.replace("ARRAY_INDEX", index))
    wait_until(lambda: index not in cluster.run(running), "it is cancelled")
