"""Slurm as Debian 13 installs it, its daemons run by the real systemd of
`support.deployed.systemd`, and a user who writes jobs there. It has `scrontab`, which Debian 12's
Slurm has not."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from support.deployed.systemd import System, system
from support.servers import wait_until

USER = "alice"
HOME = f"/home/{USER}"
_ORDERS = f"{HOME}/orders"
_CONFIGURATION = """
ClusterName=cluster
SlurmctldHost={host}(127.0.0.1)
SlurmUser=slurm
SlurmdUser=root
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm/state
SlurmdSpoolDir=/var/lib/slurm/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
ScronParameters=enable
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=65536
PartitionName=cpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class SlurmSystem:
    """A system with a cluster of one node, itself."""

    def __init__(self, machine: System) -> None:
        self.machine = machine

    def run(self, command: str, stdin: str = "") -> str:
        """What a line typed by the user prints, who has logged in; it must succeed."""
        return self.machine.run("runuser", "--login", USER, f"--command={command}", stdin=stdin)

    def write(self, path: str, text: str) -> None:
        """Write a file of the user's."""
        self.run(f"cat > {shlex.quote(path)}", stdin=text)

    def launch(self, stage: Mapping[str, object]) -> None:
        """Launch one of datatrove's SlurmPipelineExecutors, by its arguments."""
        stages = shlex.quote(json.dumps([{"orders": _ORDERS, **stage}]))
        path = "PATH=/opt/datatrove/bin:$PATH"
        self.run(f"{path} python /opt/datatrove/pipelines.py {stages}")

    def order(self, rank: int, order: str) -> None:
        """What a rank of what was launched is to do."""
        self.run(f"mkdir -p {_ORDERS}")
        self.write(f"{_ORDERS}/{rank}.new", order)
        self.run(f"mv {_ORDERS}/{rank}.new {_ORDERS}/{rank}")


@contextmanager
def slurm_system() -> Iterator[SlurmSystem]:
    with system() as machine:
        # Slurm's daemons want an address beside the loopback's.
        machine.add_address("10.0.0.1/32")
        host = machine.run("hostname").strip()
        machine.write("/etc/slurm/slurm.conf", _CONFIGURATION.format(host=host))
        machine.write("/etc/slurm/cgroup.conf", "CgroupPlugin=disabled\n")
        machine.run("mkdir", "-p", "/var/lib/slurm/spool")
        machine.run("install", "-d", "-o", "slurm", "/var/lib/slurm", "/var/lib/slurm/state")
        machine.run("useradd", "--create-home", USER)
        program = Path(__file__).with_name("pipelines.py").read_text()
        machine.write("/opt/datatrove/pipelines.py", program)
        machine.systemctl("start", "munge", "slurmctld", "slurmd")
        wait_until(
            lambda: machine.try_("sinfo", "--noheader", "--format=%T").stdout == "idle\n",
            "Slurm's node is idle",
            seconds=60,
        )
        try:
            yield SlurmSystem(machine)
        finally:
            # Jobs would keep it from ending for a minute and a half.
            machine.try_("sh", "-c", "kill -KILL -1")
