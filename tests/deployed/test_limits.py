"""The unit's limits of memory and tasks, on a machine whose kernel holds it to them."""

import re

import pytest
from support.deployed.machine import told_by_machine
from support.paths import PROJECT

pytestmark = pytest.mark.timeout(400)  # a machine in software

UNIT = "datatrove-exporter.service"
PROGRAM = """
import os, sys, threading, time

if sys.argv[1] == "memory":
    had = [bytearray(b"x" * (10 << 20)) for _ in range(150)]
else:
    had = []
    try:
        while len(had) < 2000:
            had.append(threading.Thread(target=time.sleep, args=(99,), daemon=True))
            had[-1].start()
    except RuntimeError:
        had.pop()
print("had", len(had), flush=True)
os._exit(0)
"""
SCRIPT = f"""
systemctl start {UNIT}
systemctl is-active {UNIT}
systemctl stop {UNIT}
mkdir /etc/systemd/system/{UNIT}.d
for what in memory tasks; do
    printf '%s\\n' '[Service]' Type=oneshot Restart=no ExecStart= \\
        "ExecStart=python3 /opt/had.py $what" > /etc/systemd/system/{UNIT}.d/test.conf
    systemctl daemon-reload
    systemctl start {UNIT} || true
    echo "$what: $(systemctl show --value --property=Result {UNIT})"
done
journalctl --sync
journalctl --output=cat --identifier=python3
"""


def test_the_unit_has_no_more_memory_and_tasks_than_it_says() -> None:
    """In its sandbox another program asks for more."""
    unit = (PROJECT / "deploy" / "systemd" / UNIT).read_text()
    files = {
        f"/etc/systemd/system/{UNIT}": unit,
        "/etc/datatrove-exporter/config.yaml": "roots: [/var/log]\n",
        "/opt/had.py": PROGRAM,
    }
    told = told_by_machine(files, SCRIPT)
    assert told.startswith("active\n")
    assert "\nmemory: oom-kill\ntasks: success\n" in told
    (tasks,) = re.findall(r"^had (\d+)$", told, re.MULTILINE)
    assert int(tasks) == 512 - 1  # beside the one that starts them
