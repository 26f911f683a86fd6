"""Names made of any bytes, from a real folder to every page and log line and back."""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.jobs.folders import write_job
from support.paths import CACHE
from support.processes import COMMAND, needs, serving

from exporter import log
from exporter.config.settings import RootConfig
from exporter.metrics.render import Renderer
from exporter.model.snapshot import Latest
from exporter.scanning.scheduler import Scheduler
from exporter.workers import Workers

ODD = [b'"', b"\\", b"\n", b"\r", b"\t", b"<b>", b"{", b"}", b",", b"=", b" ", b"\x1b[31m", b"\xff"]
ODD += ["\u2028".encode(), "\u202e".encode(), "\x85".encode(), b"&amp;", b"{{7*7}}", b"%n", b"#"]
names = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.lists(st.sampled_from([*ODD, b"a"]), min_size=1, max_size=8).map(b"".join),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))


class Lines(logging.Handler):
    """What the exporter's own handler would write, in both formats."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.written: dict[str, list[str]] = {"logfmt": [], "json": []}

    def emit(self, record: logging.LogRecord) -> None:
        for name, write in (("logfmt", log._to_logfmt), ("json", json.dumps)):
            self.written[name].append(log._LineFormatter(write).format(record))


def unescaped(shown: str) -> bytes:
    """The bytes that a shown name stands for."""
    return re.sub(
        rb"\\(?:x([0-9a-f]{2})|\\)",
        lambda m: bytes([int(m[1], 16)]) if m[1] else b"\\",
        shown.encode(),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_names_of_any_bytes_come_back_from_every_page_and_stay_within_their_line(
    folder_names: list[bytes],
) -> None:
    logger, lines = logging.getLogger("exporter"), Lines()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for number, folder in enumerate(folder_names):
            tasks = 4 if number % 2 else "unreadable"  # which is logged
            write_job(root / os.fsdecode(folder), tasks=tasks)
        latest, workers = Latest(), Workers(2)
        logger.addHandler(lines)
        level = logger.level
        logger.setLevel(logging.DEBUG)
        try:
            Scheduler([RootConfig("r", name)], latest, workers).run_once()
        finally:
            logger.removeHandler(lines)
            logger.setLevel(level)
            workers.close()
    renderer = Renderer()
    for page_format, parse, end in (
        ("text", parse_text, b""),
        ("openmetrics", parse_openmetrics, b"# EOF\n"),
    ):
        body = renderer.render(latest.read())[page_format].body(end)  # type: ignore[arg-type]
        text = b"".join(body).decode("utf-8")
        found = [
            sample.labels["job_name"]
            for family in parse(text)
            for sample in family.samples
            if sample.name == "datatrove_job_scan_success"
        ]
        assert sorted(map(unescaped, found)) == sorted(folder_names)
    assert len(lines.written["logfmt"]) >= len(folder_names)
    for line in lines.written["logfmt"] + lines.written["json"]:
        assert line.isprintable(), line
    told = {json.loads(line).get("job_name") for line in lines.written["json"]}
    assert set(map(unescaped, filter(None, told))) == set(folder_names)


@pytest.fixture
def latin_1(tmp_path: Path) -> dict[str, str]:
    """The environment of a system whose locale is German, and of before UTF-8."""
    locale = tmp_path / "locales" / "de_DE.ISO-8859-1"
    locale.parent.mkdir()
    made_of = ["--no-archive", "--inputfile=de_DE", "--charmap=ISO-8859-1", locale]
    sources = {"I18NPATH": f"{CACHE}/servers/usr/share/i18n"}  # or where it looks by itself
    subprocess.run([needs("localedef"), *made_of], env={**os.environ, **sources}, check=True)
    chosen = {"LOCPATH": str(locale.parent), "LC_ALL": locale.name, "PYTHONUTF8": "0"}
    told = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    encoding = subprocess.check_output(told, env={**os.environ, **chosen}, text=True)
    assert encoding == "iso8859-1\n"
    return chosen


def test_names_are_utf_8_whatever_the_locale(tmp_path: Path, latin_1: dict[str, str]) -> None:
    """Those of a configuration, of the command line, and of the folders themselves."""
    root = tmp_path / "Läufe 日誌"
    write_job(root / "größe", tasks=4)
    with serving(tmp_path, environment=latin_1, roots=[str(root)]) as exporter:
        exporter.wait_until_ready()
        job = {"root": str(root), "job_name": "größe"}
        assert exporter.page().value("datatrove_job_tasks", **job) == 4
    command, environment = [*COMMAND, "status", root], {**os.environ, **latin_1}
    table = subprocess.check_output(command, env=environment)
    assert "größe" in table.decode()
    answer = json.loads(subprocess.check_output([*command, "--json"], env=environment))
    assert [(row["root"], row["job_name"]) for row in answer["jobs"]] == [tuple(job.values())]


def test_a_python_that_insists_on_the_locale_is_not_started_for_ever(
    tmp_path: Path, latin_1: dict[str, str]
) -> None:
    """A wrapper that is found as the interpreter itself, and has the first word."""
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/bash\nexec -a "$0" {sys.executable} -X utf8=0 "$@"\n')
    wrapper.chmod(0o755)
    command = [wrapper, "-P", "-m", "exporter", "--version"]
    installed = ":".join(filter(None, sys.path))  # which a wrapper does not find by itself
    environment = {**os.environ, **latin_1, "PYTHONPATH": installed}
    assert subprocess.check_output(command, env=environment, timeout=30).startswith(b"python -m")
