"""A real Slurm cluster of one node: munged, slurmctld and slurmd, which end with the tests.

Its node claims more processors than the machine has, so that jobs need not wait for one another.
"""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.paths import CACHE
from support.servers import HOST, free_ports, running, wait_until

_FETCHED = CACHE / "slurm"
_CGROUPS = Path("/sys/fs/cgroup")
_ATTEMPTS = 3  # a port that was free may be taken before Slurm gets it
REQUEUE_SECONDS = 5
"""A requeued job may start again after so long, where other clusters say 120."""
PENDING, RUNNING = "PENDING", "RUNNING"
ACTIVE = frozenset({PENDING, RUNNING})
"""States of what may yet complete its tasks."""


@dataclass(frozen=True)
class Element:
    """What the controller says of one element of a job array, `id` 12_0, or of a job, `id` 12.
    Times are Unix seconds; the end of what runs is its time limit."""

    id: str
    name: str
    state: str
    start: float | None
    end: float | None
    reason: str

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


class Slurm:
    """A running cluster. `environment` is what its commands, and whoever calls them, need."""

    def __init__(self, environment: Mapping[str, str], *, limits_memory: bool) -> None:
        foreign = ("SLURM", "SBATCH", "SRUN", "SQUEUE", "SINFO", "SCANCEL", "MUNGE")
        own = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
        self.environment = {**own, **environment}
        self.limits_memory = limits_memory

    def command(self, *arguments: str | Path, **environment: str) -> str:
        """What one of Slurm's commands prints; it must succeed."""
        done = _run(arguments, {**self.environment, **environment})
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def submit(self, script: Path, *options: str) -> str:
        """Submit a script; the number of its job."""
        return self.command("sbatch", "--parsable", *options, script).strip()

    def cancel(self, job: str, *options: str) -> None:
        """Cancel a job, or an element of it."""
        self.command("scancel", *options, job)

    def requeue(self, job: str) -> None:
        """Kill a job, or an element of it, and put it into the queue again."""
        self.command("scontrol", "requeue", job)

    def end_time_limit(self, job: str) -> None:
        """Have the time limit of a running job pass now; limits are looked at twice a minute."""
        self.command("scontrol", "update", f"JobId={job}", "EndTime=now")

    def elements(self) -> dict[str, Element]:
        """Everything that was ever submitted here, by its id."""
        columns = "%i|%j|%T|%S|%e|%r"
        everything = ["squeue", "--noheader", "--array", "--states=all", f"--format={columns}"]
        lines = self.command(*everything, SLURM_TIME_FORMAT="%s").splitlines()
        return {one.id: one for one in map(_parse, lines)}

    def wait_for(self, job: str, *states: str, seconds: float = 60) -> Element:
        """What `squeue` says of a job once it is in one of these states."""

        reached: list[Element] = []

        def is_reached() -> bool:
            reached[:] = [self.elements()[job]]
            return reached[0].state in states

        wait_until(is_reached, f"job {job} is {' or '.join(states)}", seconds=seconds)
        return reached[0]


def _parse(line: str) -> Element:
    number, name, state, start, end, reason = line.strip().split("|")
    return Element(number, name, state, _time(start), _time(end), reason)


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _run(
    command: Sequence[str | Path], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    arguments = list(map(str, command))
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


class _StartError(Exception):
    """A part of Slurm ended instead of starting."""


@contextmanager
def slurm(*more_configuration: str) -> Iterator[Slurm]:
    """A cluster with one partition, ``cpu``; `more_configuration` are lines of slurm.conf."""
    with ExitStack() as stack:
        for attempt in range(_ATTEMPTS):
            with ExitStack() as parts:
                try:
                    cluster = _start(parts, more_configuration)
                except _StartError:
                    if attempt + 1 == _ATTEMPTS:
                        raise
                    continue
                stack.push(parts.pop_all())
                break
        yield cluster


def _start(parts: ExitStack, more_configuration: Sequence[str]) -> Slurm:
    # Not a test's own folder: a socket's path may have 107 bytes.
    folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))
    node = folder.name
    programs, libraries = _installed()
    environment = {
        "PATH": os.pathsep.join([*programs, os.environ["PATH"]]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    tracks = _may_use_cgroup("freezer")
    limits_memory = tracks and _may_use_cgroup("memory")
    if tracks:
        parts.callback(_remove_cgroups, node)
    lines = [_configuration(folder, node, tracks, limits_memory), *more_configuration, ""]
    (folder / "slurm.conf").write_text("\n".join(lines))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nConstrainRAMSpace=yes\n")
    cluster = Slurm(environment, limits_memory=limits_memory)
    _start_munge(parts, folder, cluster.environment)
    _start_daemons(parts, folder, cluster.environment)
    parts.callback(_cancel_everything, cluster)
    return cluster


def _installed() -> tuple[list[str], list[str]]:
    """Folders with Slurm's programs, and with their libraries, if those are no system's."""
    if not (_FETCHED / "usr" / "sbin" / "slurmctld").exists():
        if shutil.which("slurmctld", path=f"{os.environ['PATH']}:/usr/sbin"):
            return ["/usr/sbin"], []
        pytest.fail("Slurm is not there; scripts/install-slurm .cache/slurm fetches it")
    libraries = [folder for lib in ("lib", "usr/lib") for folder in (_FETCHED / lib).glob("*-gnu")]
    return (
        [str(_FETCHED / "usr" / folder) for folder in ("bin", "sbin")],
        [str(path) for folder in libraries for path in (folder, folder / "slurm-wlm")],
    )


def _may_use_cgroup(controller: str) -> bool:
    """Whether this machine has a hierarchy of that controller (version 1) to make groups in."""
    probe = _CGROUPS / controller / f"slurm-probe-{secrets.token_hex(4)}"
    if not (_CGROUPS / controller / "cgroup.procs").exists():
        return False
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def _remove_cgroups(node: str) -> None:
    """slurmd would, but it is killed."""
    tops = [_CGROUPS / controller / f"slurm_{node}" for controller in ("freezer", "memory")]

    def are_gone() -> bool:
        for top in tops:
            for group, *_ in os.walk(top, topdown=False):
                with suppress(OSError):  # a process is not quite gone yet
                    os.rmdir(group)
        return not any(top.exists() for top in tops)

    with suppress(TimeoutError):
        wait_until(are_gone, "the cluster's control groups are gone", seconds=5)


def _configuration(folder: Path, node: str, tracks: bool, limits_memory: bool) -> str:
    host = socket.gethostname().split(".")[0]
    user = pwd.getpwuid(os.geteuid()).pw_name
    controller_port, node_port = free_ports(2)
    plugins = next(iter(_FETCHED.glob("usr/lib/*-gnu/slurm-wlm")), None)
    return f"""
ClusterName={node}
SlurmctldHost={host}({HOST})
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={REQUEUE_SECONDS}
{f"PluginDir={plugins}" if plugins else ""}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/{"cgroup" if tracks else "linuxproc"}
TaskPlugin=task/{"cgroup" if limits_memory else "none"}
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=256
SchedulerParameters=sched_interval=1,bf_interval=1
KillWait=1
# What ended is still told of an hour later.
MinJobAge=3600
SlurmdParameters=config_overrides
NodeName={node} NodeHostname={host} NodeAddr={HOST} Port={node_port} CPUs=64 RealMemory=65536
PartitionName=cpu Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


def _start_munge(parts: ExitStack, folder: Path, environment: Mapping[str, str]) -> None:
    key, listener = folder / "munge.key", folder / "munge.socket"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(64))
    command = ["munged", "--foreground", "--force", f"--socket={listener}", f"--key-file={key}"]
    command += [f"--{name}-file={folder}/munge.{name}" for name in ("log", "pid", "seed")]
    process = parts.enter_context(running(command, folder / "munged.out", environment))

    def has_started() -> bool:
        assert process.poll() is None, (folder / "munged.out").read_text()
        return listener.exists()

    wait_until(has_started, "munged listens")


def _start_daemons(parts: ExitStack, folder: Path, environment: Mapping[str, str]) -> None:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    steps = shutil.which("slurmstepd", path=environment["PATH"])
    node = ["-N", folder.name, *(["-d", steps] if steps else [])]
    commands = {"slurmctld": ["slurmctld", "-D"], "slurmd": [*_own(), "slurmd", "-D", *node]}
    processes = {
        folder / f"{name}.out": parts.enter_context(
            running(command, folder / f"{name}.out", environment)
        )
        for name, command in commands.items()
    }

    def is_idle() -> bool:
        for log, process in processes.items():
            if process.poll() is not None:
                raise _StartError(f"{log.name}:\n{log.read_text(errors='replace')[-2000:]}")
        return _run(["sinfo", "--noheader", "--format=%T"], environment).stdout.strip() == "idle"

    wait_until(is_idle, "Slurm's node is idle")


def _own() -> list[str]:
    """What, put before a command, has all that it starts, jobs above all, end with it."""
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return []
    return [] if _run([*alone, "true"], os.environ).returncode else alone


def _cancel_everything(cluster: Slurm) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    cluster.cancel(f"--user={user}")
    cluster.cancel(f"--user={user}", "--signal=KILL", "--full")
    with suppress(TimeoutError):  # then they are killed with slurmd, if it could be arranged
        wait_until(lambda: not cluster.command("squeue", "--noheader"), "no job is left", 20)
