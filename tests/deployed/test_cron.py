"""The cron line, in a real cron daemon's table."""

from support.paths import PROJECT
from support.servers import wait_until
from support.systemd import system

HOME = "/root"
OUTPUT = "/var/lib/node_exporter/textfile/datatrove.prom"


def test_cron_writes_the_text_file() -> None:
    """Every minute here, instead of every five."""
    table = (PROJECT / "deploy" / "slurm" / "datatrove-exporter.crontab").read_text()
    assert "\n*/5 " in table
    with system() as machine:
        machine.write("/data/logs/job/executor.json", '{"world_size": 4}')
        machine.write(f"{HOME}/datatrove-exporter.yaml", "roots: [/data/logs]\n")
        machine.run("mkdir", "-p", f"{HOME}/.local/bin", OUTPUT.rpartition("/")[0])
        program = "/opt/datatrove-exporter/bin/datatrove-exporter"
        machine.run("ln", "-s", program, f"{HOME}/.local/bin/datatrove-exporter")
        machine.run("crontab", "-", stdin=table.replace("\n*/5 ", "\n* "))
        written = wait_until(
            lambda: machine.try_("cat", OUTPUT).stdout, "cron has run the line", seconds=100
        )
    assert 'datatrove_job_tasks{job_name="job",root="/data/logs"} 4' in written
