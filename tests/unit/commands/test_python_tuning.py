"""Python as the command sets it."""

import subprocess
import sys

PROGRAM = """
import gc, sys
from exporter.commands import python_tuning

class Cycle:
    def __init__(self):
        self.itself = self

python_tuning.tune()
kept = [[] for _ in range(200_000)]
gc.collect()
before = gc.get_stats()[2]["collections"]
kept += [[] for _ in range(2_000_000)]  # Python's own rule would look at all of them
assert gc.get_stats()[2]["collections"] == before, "all objects were looked at"
cycles = [Cycle() for _ in range(100)]
gc.collect()  # now they are old
del cycles
gc.collect()
assert not any(type(thing) is Cycle for thing in gc.get_objects()), "garbage is left"
print(sys.getswitchinterval())
"""


def test_garbage_is_looked_for_among_all_objects_only_when_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.005
