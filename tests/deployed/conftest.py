"""Writes what was started, by what, and how that went, into the file that RESULTS names."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployed.containers import BARE_IMAGE, IMAGE, podman

_PROGRAMS = (
    ("podman", "--version"),
    ("buildah", "--version"),
    ("runc", "--version"),
    ("systemd-nspawn", "--version"),
    ("qemu-system-x86_64", "--version"),
    ("uname", "-sr"),
)
_reports: dict[str, str] = {}


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        _reports[report.nodeid] = report.outcome


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    if (file := os.environ.get("RESULTS")) is not None:
        Path(file).write_text("\n".join([*_what(), "", *_outcomes(), ""]))


def _what() -> Iterator[str]:
    yield "Written by `make deployed RESULTS=deploy/results.txt`."
    yield ""
    for program in _PROGRAMS:
        done = subprocess.run(program, capture_output=True, text=True, check=True)
        yield done.stdout.splitlines()[0]
    for image in ("localhost/python", IMAGE, BARE_IMAGE):
        size = int(podman("image", "inspect", "--format={{.Size}}", image).stdout)
        yield f"{image.removeprefix('localhost/')}: {size / 1e6:.0f} MB"


def _outcomes() -> Iterator[str]:
    for test, outcome in _reports.items():
        module, _, name = test.partition("::")
        subject = Path(module).stem.removeprefix("test_")
        yield f"{outcome} | {subject} | {name.removeprefix('test_').replace('_', ' ')}"
