"""Everything that would go to standard error by itself goes through the log."""

import subprocess
import sys

import pytest

from exporter import log

PROGRAM = """
import threading, warnings
from exporter import log
log.set_up("info", "json")
log.hide(["CANARY"])

class Broken:
    def __del__(self):
        raise ValueError("CANARY")

def fail():
    raise ValueError("CANARY")

Broken()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
warnings.warn("CANARY")
fail()
"""


def test_what_python_itself_would_print_is_a_line_of_the_log_without_secrets() -> None:
    run = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    levels = ["error", "critical", "warn", "critical"]
    lines = run.stderr.splitlines()
    assert [line.split('"level": "')[1].split('"')[0] for line in lines] == levels
    assert "CANARY" not in run.stderr
    assert all("<secret>" in line for line in lines)


def test_a_secret_of_which_a_cut_text_has_the_beginning_is_masked_as_far() -> None:
    log.hide(["CANARY-OF-THE-LOG"])
    begun = "key=CANARY-OF"
    assert log.without_secrets(begun, is_cut=True) == "key=<secret>"
    assert log.without_secrets(begun) == begun
    assert log.without_secrets("key=CANARY-OF-THE-LOG, too") == "key=<secret>, too"


def test_what_stands_for_a_secret_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one is called so, and where a text is cleaned twice."""
    monkeypatch.setattr(log, "_secrets", set[str]())
    log.hide(["secret", "another secret"])
    once = log.without_secrets("a secret, another secret")
    assert once == "a <secret>, <secret>"
    assert log.without_secrets(once) == once
