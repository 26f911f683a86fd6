#!/usr/bin/env python3
"""See whether what is committed could be released, and leave what would be released in a folder.

Usage: release_check.py [FOLDER], by default dist; with the Python of .venv, beside which uv is.
Versions everywhere agree; wheel and sdist are built twice, in different circumstances, and are
equal to the byte; each can be installed where nothing else is, and works; a bill of materials
(CycloneDX) names what was installed. A commit with a tag of a version is a release, and the
changelog has a date for it. Prints a line for each thing seen; exit code 1 if one is wrong.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")
PLACES = {
    # Where the version stands beside pyproject.toml, and how.
    "deploy/helm/datatrove-exporter/Chart.yaml, version": r"^version: (.+)$",
    "deploy/helm/datatrove-exporter/Chart.yaml, appVersion": r'^appVersion: "(.+)"$',
    "deploy/kubernetes/base/kustomization.yaml, newTag": r'newTag: "(.+)"$',
    "Dockerfile, image.version": r'org\.opencontainers\.image\.version="(.+?)"',
    "docs/deployment.md, the wheel": r"datatrove_exporter-(.+?)-py3",
}
LABELS = {"title": "name", "description": "description", "licenses": "license"}
"""Labels of the image, and what they say of the project."""
JOB = {"executor.json": '{"world_size": 2}', "completions/00000": ""}


def project_of(folder: Path) -> dict[str, Any]:
    """What its pyproject.toml says of the project."""
    with (folder / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
        return found


def mistakes_in_versions(folder: Path, *, is_release: bool) -> Iterator[str]:
    """What does not agree with the version of the project in this folder."""
    project = project_of(folder)
    version = str(project["version"])
    for place, pattern in PLACES.items():
        file = place.partition(",")[0]
        found = re.findall(pattern, (folder / file).read_text(), re.MULTILINE)
        if set(found) != {version}:
            yield f"{place} is {', '.join(found) or 'missing'}, the project's version {version}"
    labels = dict(
        re.findall(r'opencontainers\.image\.(\w+)="(.*?)"', (folder / "Dockerfile").read_text())
    )
    for label, key in LABELS.items():
        if labels.get(label) != project[key]:
            yield f"Dockerfile, image.{label} is not the project's {key}"
    headings = re.findall(r"^## (.+)$", (folder / "CHANGELOG.md").read_text(), re.MULTILINE)
    if is_release:
        if not re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d\d-\d\d", headings[0]):
            yield f"CHANGELOG.md begins with {headings[0]!r}, not with {version} and its date"
    elif headings[0] != "Unreleased" and version not in headings[0]:
        yield f"CHANGELOG.md begins with {headings[0]!r}, neither Unreleased nor {version}"


def mistakes_in_materials(bill: dict[str, Any], folder: Path) -> Iterator[str]:
    """What is wrong in a bill of materials: it names this project, and every package with the
    version in constraints.txt."""
    project = project_of(folder)
    root = bill["metadata"]["component"]
    if (root["name"], root["version"]) != (project["name"], project["version"]):
        yield f"it is of {root['name']} {root['version']}"
    constraints = (folder / "constraints.txt").read_text()
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE))
    parts = {normal(part["name"]): part["version"] for part in bill["components"]}
    for name, version in parts.items():
        if locked.get(name) != version:
            yield f"{name} {version} is not in constraints.txt"
    for requirement in sum(project["optional-dependencies"].values(), project["dependencies"]):
        if (name := normal(re.split(r"[^\w.-]", requirement)[0])) not in parts:
            yield f"{name} is missing"


def normal(name: str) -> str:
    """A package's name, of the many ways in which it can be spelt."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Findings:
    """Prints what was seen, and knows whether all of it was right."""

    def __init__(self) -> None:
        self.are_good = True

    def tell(self, what: str, *mistakes: str) -> None:
        print(f"{'NO' if mistakes else 'ok'}  {what}", *mistakes, sep="\n    ", flush=True)
        self.are_good &= not mistakes


def run(*command: str | Path, **settings: Any) -> str:
    """What a command prints; ends the script if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    if done.returncode:
        sys.exit(f"NO  {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def check_out(folder: Path, umask: int) -> Path:
    """What is committed, in a new folder."""
    folder.mkdir(parents=True)
    archive = folder.with_suffix(".tar")
    run("git", "-C", PROJECT, "archive", f"--output={archive}", "HEAD")
    run("tar", "-xf", archive, "-C", folder, umask=umask)
    return folder


def build_twice(scratch: Path) -> tuple[list[Path], list[str]]:
    """Wheel and sdist, and how a second build of them differs: elsewhere, from files of another age
    and with other rights, in another language and time zone, and the wheel not by way of the
    sdist."""
    epoch = run("git", "-C", PROJECT, "log", "-1", "--format=%ct").strip()
    again = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": str(scratch)}
    built = []
    for place, umask, more, environment in (
        ("one", 0o022, [], {}),
        ("another/deeper", 0o077, ["--wheel", "--sdist"], again),
    ):
        folder = check_out(scratch / place, umask)
        if environment:
            for file in folder.rglob("*"):
                os.utime(file)
        settings = {**os.environ, **environment, "SOURCE_DATE_EPOCH": epoch}
        settings["UV_CACHE_DIR"] = run(UV, "cache", "dir").strip()
        constraints = f"--build-constraints={PROJECT / 'constraints.txt'}"
        run(UV, "build", "--quiet", constraints, *more, folder, umask=umask, env=settings)
        built.append(sorted(file for file in (folder / "dist").iterdir() if file.suffix != ".tar"))
    first, second = (
        {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.name[0] != "."}
        for files in built
    )
    differing = sorted(name for name in first | second if first.get(name) != second.get(name))
    return [file for file in built[0] if file.name in first], differing


def mistakes_in_wheel(wheel: Path) -> Iterator[str]:
    """What the wheel lacks of the package, and holds beside it."""
    kept = run("git", "-C", PROJECT, "ls-files", "exporter").split()
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in sorted(set(kept) - names):
        yield f"{name} is missing"
    for name in sorted(names - set(kept)):
        if ".dist-info/" not in name:
            yield f"{name} does not belong there"


def install(file: Path, environment: Path, extras: str = "") -> Path:
    """A new environment with nothing but the file and what it needs; its folder of programs."""
    run(UV, "venv", "--quiet", f"--python={sys.executable}", environment)
    constraints = PROJECT / "constraints.txt"
    run(
        *(UV, "pip", "install", "--quiet", f"--python={environment}"),
        *(f"--constraint={constraints}", f"--build-constraint={constraints}", f"{file}{extras}"),
    )
    run(UV, "pip", "check", "--quiet", f"--python={environment}")
    return environment / "bin"


def mistakes_in_use(program: Path, scratch: Path) -> Iterator[str]:
    """What an installed program does wrong."""
    version = run(program, "--version", cwd=scratch).strip()
    if version != f"datatrove-exporter {project_of(PROJECT)['version']}":
        yield f"--version says {version}"
    for name, text in JOB.items():
        file = scratch / "jobs" / "job" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    if "1/2 (50 %) tasks completed" not in run(program, "status", "jobs", cwd=scratch):
        yield "status does not see the job"


def write_materials(environment: Path, scratch: Path, file: Path) -> dict[str, Any]:
    """Write the bill of materials of an environment."""
    tools = scratch / "tools"
    run(UV, "venv", "--quiet", f"--python={sys.executable}", tools)
    group = f"{PROJECT / 'pyproject.toml'}:release"
    constraints = f"--constraint={PROJECT / 'constraints.txt'}"
    run(UV, "pip", "install", "--quiet", f"--python={tools}", constraints, f"--group={group}")
    run(
        *(tools / "bin" / "cyclonedx-py", "environment", "--output-reproducible"),
        *(f"--pyproject={PROJECT / 'pyproject.toml'}", "--mc-type=application", "--of=JSON"),
        *(f"--output-file={file}", environment / "bin" / "python"),
    )
    bill: dict[str, Any] = json.loads(file.read_text())
    # The project itself is what the bill is of, and where it was installed from says nothing.
    name = project_of(PROJECT)["name"]
    bill["components"] = [part for part in bill["components"] if part["name"] != name]
    file.write_text(json.dumps(bill, indent=2) + "\n")
    return bill


def see_versions(findings: Findings) -> str:
    """The version, and whether all agree on it and everything is committed."""
    changed = run("git", "-C", PROJECT, "status", "--porcelain").splitlines()
    findings.tell("everything is committed", *changed)
    version = str(project_of(PROJECT)["version"])
    is_release = f"v{version}" in run("git", "-C", PROJECT, "tag", "--points-at", "HEAD").split()
    release = f"{version}, {'the release' if is_release else 'not tagged as a release'}"
    mistakes = mistakes_in_versions(PROJECT, is_release=is_release)
    findings.tell(f"versions, labels and changelog: {release}", *mistakes)
    return version


def see_files(findings: Findings, scratch: Path, folder: Path) -> Path:
    """Build wheel and sdist into the folder, and use them; the wheel."""
    files, differing = build_twice(scratch)
    what = " and ".join(file.name for file in files)
    findings.tell(f"built twice, equal: {what}", *(f"{file} differs" for file in differing))
    for file in files:
        shutil.copy(file, folder)
    (wheel,) = folder.glob("*.whl")
    findings.tell("the wheel holds the package and nothing else", *mistakes_in_wheel(wheel))
    for file in sorted(folder.iterdir()):
        program = install(file, scratch / file.suffix) / "datatrove-exporter"
        mistakes = mistakes_in_use(program, scratch)
        findings.tell(f"installed in a clean environment: {file.name}", *mistakes)
    return wheel


def main() -> int:
    """The exit code."""
    findings, folder = Findings(), Path(sys.argv[1] if len(sys.argv) > 1 else "dist").resolve()
    version = see_versions(findings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        scratch = Path(name)
        wheel = see_files(findings, scratch, folder)
        extras = f"[{','.join(sorted(project_of(PROJECT)['optional-dependencies']))}]"
        install(wheel, scratch / "all", extras)
        file = folder / f"datatrove_exporter-{version}.cdx.json"
        bill = write_materials(scratch / "all", scratch, file)
        what = f"bill of materials: {len(bill['components'])} packages, all extras"
        findings.tell(what, *mistakes_in_materials(bill, PROJECT))
    sums = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
        for file in sorted(folder.iterdir())
    ]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    print(f"{folder}:", *sums, sep="\n    ")
    return 0 if findings.are_good else 1


if __name__ == "__main__":
    sys.exit(main())
