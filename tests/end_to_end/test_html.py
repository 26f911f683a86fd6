"""The Nu HTML checker, the W3C's own, has nothing to say about any page."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.browser_fixtures import HOSTILE_ROOT
from support.browsers import needs_module
from support.processes import Exporter
from support.snapshots.pages import job_path

pytestmark = pytest.mark.timeout(300)


def test_the_html_checker_has_nothing_to_say_about_any_page(
    gallery: Exporter, tmp_path: Path
) -> None:
    jobs = json.loads(gallery.get("/api/v1/jobs").body)["jobs"]
    assert sum(job["root"] == HOSTILE_ROOT for job in jobs) > 10
    paths = [
        "/",
        "/?name=%22%3E%3Cscript%3E%00%0d%ef%bf%bf&state=stalled&sort=name&order=desc",
        "/?root=scratch",
        "/jobs/no/such",
        *(f"/jobs/{job_path(job['root'], job['job_name'])}" for job in jobs),
    ]
    for number, path in enumerate(paths):
        answer = gallery.get(path)
        assert answer.status == (404 if path == "/jobs/no/such" else 200), path
        (tmp_path / f"{number}.html").write_bytes(answer.body)
    assert complaints(tmp_path) == ""


def test_the_html_checker_would_have_something_to_say(tmp_path: Path) -> None:
    (tmp_path / "0.html").write_text("<!DOCTYPE html><title>x</title><p id=a><p id=a>")
    assert "Duplicate ID" in complaints(tmp_path)


def complaints(folder: Path) -> str:
    """What the checker prints about the pages in `folder`, warnings included."""
    if shutil.which("java") is None:
        pytest.fail("java is not on PATH; scripts/install-browser installs it")
    jar = needs_module("vnu-jar/build/dist/vnu.jar")
    # A name may begin with a combining character, and is shown as it is.
    ignored = "Text run starts with a composing character."
    command = ["java", "-jar", str(jar), "--Werror", "--filterpattern", ignored, str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) == (ran.stderr == ""), ran
    return ran.stderr
