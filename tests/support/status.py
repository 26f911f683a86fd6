"""Runs ``status`` as a process."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.processes import COMMAND


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def jobs(self) -> dict[str, dict[str, Any]]:
        """The jobs of ``--json``, by name."""
        return {job["job_name"]: job for job in self.json["jobs"]}

    @property
    def summary(self) -> tuple[int, ...]:
        match = re.search(
            r"^Summary: (\d+)/(\d+) \(.*?\) jobs completed, (\d+)/(\d+) \(.*?\) tasks completed",
            self.out,
            re.MULTILINE,
        )
        assert match is not None, self.out
        return tuple(map(int, match.groups()))


def status(
    *arguments: str | Path,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Run:
    run = subprocess.run(
        [*COMMAND, "status", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        check=False,
        timeout=60,
    )
    return Run(run.returncode, run.stdout.decode(), run.stderr.decode())
