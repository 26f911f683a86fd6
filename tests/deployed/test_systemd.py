"""The unit under a real systemd, installed by the lines of deploy/README.md."""

import re
import shlex
from collections.abc import Iterator

import pytest
from support.deployed.systemd import UNIT, System, system
from support.paths import PROJECT
from support.servers import wait_until
from support.told import told

CONFIG = "/etc/datatrove-exporter/config.yaml"
DROP_IN = f"/etc/systemd/system/{UNIT}.service.d/test.conf"
GOOD = "roots: [{name: logs, url: /data/logs}]\nscan: {interval: 1s}\n"
BAD = "roots: []\n"
MISTAKE = f"{CONFIG}:1: roots: must not be empty"

pytestmark = pytest.mark.timeout(400)  # it starts twenty times in a row


ATTEMPTS = """
import ctypes, mmap, os, socket, tempfile
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)

def make_setuid():
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        os.chmod(file.name, 0o4700)

attempts = {
    "write where data lies": lambda: Path("/data/open/x").write_text(""),
    "write below /var": lambda: Path("/var/lib/open/x").write_text(""),
    "write below /home": lambda: Path("/home/open/x").write_text(""),
    "see other processes": lambda: os.stat("/proc/1/status"),
    "see the system": lambda: os.stat("/proc/meminfo"),
    "open another kind of socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "have a namespace": lambda: os.unshare(os.CLONE_NEWUSER),
    "run what it wrote": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    "make a setuid program": make_setuid,
    "be another kind of Linux": lambda: call("personality", 8),
    "change its priority": lambda: os.nice(1),
    "be debugged": lambda: call("ptrace", 0, 0, None, None),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    print("may", name)
print("tried all")
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[System]:
    """A system with one job, and the exporter's files as deploy/README.md installs them."""
    with system() as started:
        for line in told("install "):
            command = shlex.split(line)
            source = command[-2]
            started.write(f"/src/{source}", (PROJECT / source).read_text())
            started.run("env", "--chdir=/src", *command)
        started.write("/data/logs/job/executor.json", '{"world_size": 4}')
        started.write("/data/logs/job/completions/00000", "")
        started.write(CONFIG, GOOD)
        yield started


@pytest.fixture
def service(machine: System) -> Iterator[System]:
    """The unit, up."""
    machine.write(CONFIG, GOOD)
    (line,) = told("systemctl daemon-reload")
    machine.type(line)
    wait_until(lambda: "datatrove_job_tasks{" in machine.get("/metrics"), "the job is there")
    yield machine
    machine.try_("systemctl", "disable", "--now", UNIT)
    machine.try_("rm", "-f", DROP_IN)
    machine.systemctl("daemon-reload")
    machine.try_("systemctl", "reset-failed", UNIT)


def drop_in(service: System, text: str) -> None:
    service.write(DROP_IN, text)
    service.systemctl("daemon-reload")
    service.systemctl("restart", UNIT)


def seconds(service: System, name: str) -> float:
    """A property that is a time."""
    units = {"min": 60, "s": 1, "ms": 0.001}
    found = re.findall(r"(\d+)(\w+)", service.show(name))
    return sum(int(number) * units[unit] for number, unit in found)


def test_it_is_up_once_it_answers(service: System) -> None:
    """`enable --now` has returned: what answers then is all there is to wait for."""
    assert service.show("ActiveState") == "active"
    assert service.show("SubState") == "running"
    assert service.show("NRestarts") == "0"
    service.systemctl("restart", UNIT)
    assert "datatrove_exporter_build_info" in service.get("/metrics")
    assert service.show("StatusText").startswith("serving on")


def test_it_may_do_nothing_but_read(service: System) -> None:
    process = service.show("MainPID")
    status = dict(
        line.split(":", 1) for line in service.run("cat", f"/proc/{process}/status").splitlines()
    )
    assert 61184 <= int(status["Uid"].split()[0]) <= 65519  # DynamicUser's
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"  # a filter
    inside = ("nsenter", f"--target={process}", "--mount", "--")
    assert service.run(*inside, "ls", "/tmp") == ""
    devices = service.run(*inside, "ls", "/dev").split()
    assert "null" in devices
    assert not {"console", "kmsg", "mem"} & set(devices)


def test_its_sandbox_refuses_what_any_other_user_may(service: System) -> None:
    """As `nobody`, outside of the unit, the same program may do all of it."""
    program = "/opt/attempts.py"
    service.write(program, ATTEMPTS)
    service.run("install", "-d", "-m", "777", "/data/open", "/var/lib/open", "/home/open")
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
    may = service.run(*as_nobody, "python3", program).splitlines()
    assert may == [*(f"may {name}" for name in re.findall('    "(.+)": ', ATTEMPTS)), "tried all"]
    drop_in(service, f"[Service]\nExecStartPre=python3 {program}\n")
    written = service.journal("--identifier=python3")
    assert "tried all" in written
    assert "may " not in written


def test_a_process_that_hangs_is_started_anew(service: System) -> None:
    drop_in(service, "[Service]\nWatchdogSec=3s\nRestartSec=100ms\n")
    hung = service.show("MainPID")
    service.systemctl("kill", "--kill-whom=main", "--signal=STOP", UNIT)
    wait_until(lambda: service.show("NRestarts") == "1", "it is started anew", seconds=60)
    service.wait_for_state("active")
    assert service.show("MainPID") != hung
    assert "datatrove_exporter_build_info" in service.get("/metrics")
    assert "Watchdog timeout" in service.run("journalctl", f"--unit={UNIT}")


def test_a_reload_loads_or_fails_and_says_why(service: System) -> None:
    process = service.show("MainPID")
    service.write(CONFIG, GOOD.replace("name: logs", "name: renamed"))
    (reload,) = told("systemctl reload")
    service.type(reload)
    wait_until(lambda: 'root="renamed"' in service.get("/metrics"), "it is loaded")
    service.write(CONFIG, BAD)
    failed = service.try_("sh", "-c", reload)
    assert failed.returncode == 1
    assert MISTAKE in service.journal()
    assert 'root="renamed"' in service.get("/metrics")
    assert service.show("ActiveState") == "active"
    assert service.show("MainPID") == process


def test_the_status_line_tells_of_a_configuration_that_was_refused(service: System) -> None:
    """By a signal that no `systemctl reload` sent."""
    service.write(CONFIG, BAD)
    service.systemctl("kill", "--kill-whom=main", "--signal=HUP", UNIT)
    wait_until(lambda: "roots" in service.show("StatusText"), "it is told")
    for line in told("systemctl status"):
        assert re.search("^ +Status: .*roots", service.type(line), re.MULTILINE), line
    service.write(CONFIG, GOOD)
    service.systemctl("reload", UNIT)
    wait_until(lambda: "must not" not in service.show("StatusText"), "it is told no longer")


def test_a_stop_is_clean(service: System) -> None:
    service.systemctl("stop", UNIT)
    assert service.show("ActiveState") == "inactive"
    assert service.show("Result") == "success"
    assert service.show("ExecMainStatus") == "0"
    assert "msg=stopping" in service.journal()


def test_lines_have_their_priorities(service: System) -> None:
    service.write("/data/logs/corrupt/executor.json", "{")
    wait_until(lambda: "corrupt" in service.journal("--priority=warning"), "it is warned of")
    service.run("rm", "-r", "/data/logs/corrupt")
    (warnings,) = told("journalctl ")
    assert "corrupt" in service.type(warnings)
    assert "level=info" not in service.type(warnings)
    assert "level=info" in service.journal("--priority=info")
    assert "<6>" not in service.journal()


def test_a_group_that_is_named_may_read_what_only_it_may_read(service: System) -> None:
    """As deploy/README.md documents it."""
    service.run("groupadd", "--force", "pipelines")
    service.write("/data/logs/secret/executor.json", '{"world_size": 7}')
    service.run("chgrp", "-R", "pipelines", "/data/logs/secret")
    service.run("chmod", "0750", "/data/logs/secret")
    readable = 'datatrove_job_tasks{job_name="secret",root="logs"} 7'
    wait_until(lambda: "Permission denied" in service.journal(), "it is told")
    assert readable not in service.get("/metrics")
    drop_in(service, "[Service]\nSupplementaryGroups=pipelines\n")
    wait_until(lambda: readable in service.get("/metrics"), "it is read")
    service.run("rm", "-r", "/data/logs/secret")


def test_a_mistake_does_not_have_it_start_for_ever(service: System) -> None:
    """It tries as often as the unit says, here without the pauses, and has then failed. With
    them, and as long as it takes to find a mistake on a slow machine, it gets there, too."""
    tries = int(service.show("StartLimitBurst"))
    interval = "StartLimitIntervalUSec", "RestartUSec"
    within, pause = (seconds(service, name) for name in interval)
    assert within > tries * (pause + 10)
    service.systemctl("stop", UNIT)
    service.write(CONFIG, BAD)
    service.write(DROP_IN, "[Service]\nRestartSec=100ms\n")
    service.systemctl("daemon-reload")
    assert service.try_("systemctl", "start", UNIT).returncode == 1
    service.wait_for_state("failed")
    assert MISTAKE in service.journal()
    assert "Start request repeated too quickly" in service.journal()
    service.write(CONFIG, GOOD)
    (line,) = told("systemctl reset-failed")
    service.type(line)
    service.systemctl("start", UNIT)
    assert "datatrove_exporter_build_info" in service.get("/metrics")


def test_clocks_are_looked_at_as_a_runbook_says(machine: System) -> None:
    (line,) = told("timedatectl ")
    assert "System clock synchronized" in machine.type(line)
