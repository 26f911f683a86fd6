"""What ``make release-check`` looks at, and that it sees what is wrong."""

import importlib.util
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from support.paths import PROJECT

VERSION = "0.1.0"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = PROJECT / "scripts" / "release_check.py"
    spec = importlib.util.spec_from_file_location("release_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tree(script: ModuleType, tmp_path: Path) -> Path:
    """Copies of the files that name the version."""
    files = {place.partition(",")[0] for place in script.PLACES}
    for file in (*files, "pyproject.toml", "CHANGELOG.md", "constraints.txt"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / file, tmp_path / file)
    return tmp_path


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_versions_labels_and_changelog_are_in_step(script: ModuleType) -> None:
    assert list(script.mistakes_in_versions(PROJECT, is_release=False)) == []


@pytest.mark.parametrize(
    ("file", "old"),
    [
        ("pyproject.toml", f'version = "{VERSION}"'),
        ("deploy/helm/datatrove-exporter/Chart.yaml", f"\nversion: {VERSION}"),
        ("deploy/helm/datatrove-exporter/Chart.yaml", f'appVersion: "{VERSION}"'),
        ("deploy/kubernetes/base/kustomization.yaml", f'newTag: "{VERSION}"'),
        ("Dockerfile", f'version="{VERSION}"'),
        ("docs/deployment.md", f"datatrove_exporter-{VERSION}-"),
    ],
)
def test_a_version_that_is_left_behind_is_told(
    file: str, old: str, script: ModuleType, tree: Path
) -> None:
    change(tree / file, old, old.replace(VERSION, "0.0.9"))
    assert any(file in mistake or "0.0.9" in mistake for mistake in told(script, tree))


def told(script: ModuleType, tree: Path, *, is_release: bool = False) -> list[str]:
    return list(script.mistakes_in_versions(tree, is_release=is_release))


def test_a_label_that_says_something_else_is_told(script: ModuleType, tree: Path) -> None:
    change(tree / "Dockerfile", "Apache-2.0", "MIT")
    assert told(script, tree) == ["Dockerfile, image.licenses is not the project's license"]


def test_a_release_has_a_date_in_the_changelog(script: ModuleType, tree: Path) -> None:
    (mistake,) = told(script, tree, is_release=True)
    assert mistake == f"CHANGELOG.md begins with 'Unreleased', not with {VERSION} and its date"
    change(tree / "CHANGELOG.md", "## Unreleased", f"## {VERSION} - 2026-12-01")
    assert told(script, tree, is_release=True) == []
    assert told(script, tree) == []


def test_a_bill_of_materials_that_is_not_what_is_locked_is_told(
    script: ModuleType, tree: Path
) -> None:
    bill = {
        "metadata": {"component": {"name": "datatrove-exporter", "version": VERSION}},
        "components": [{"name": "PyYAML", "version": "6.0"}, {"name": "left-pad", "version": "1"}],
    }
    mistakes = list(script.mistakes_in_materials(bill, tree))
    assert mistakes[:2] == [
        "pyyaml 6.0 is not in constraints.txt",
        "left-pad 1 is not in constraints.txt",
    ]
    assert "jinja2 is missing" in mistakes
    assert "gcsfs is missing" in mistakes
    assert "pyyaml is missing" not in mistakes
    bill["metadata"]["component"]["version"] = "1"
    assert next(script.mistakes_in_materials(bill, tree)) == "it is of datatrove-exporter 1"


def test_a_wheel_that_lacks_a_file_or_has_one_too_many_is_told(
    script: ModuleType, tmp_path: Path
) -> None:
    kept = script.run("git", "-C", PROJECT, "ls-files", "exporter").split()
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in {*kept, "tests/a.py", "a-1.dist-info/METADATA"} - {"exporter/py.typed"}:
            archive.writestr(name, "")
    assert list(script.mistakes_in_wheel(wheel)) == [
        "exporter/py.typed is missing",
        "tests/a.py does not belong there",
    ]
