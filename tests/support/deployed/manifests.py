"""What the chart and the manifests in deploy/ come to, as Kubernetes is given it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import helm_python
import yaml

from support.paths import PROJECT

DEPLOY = PROJECT / "deploy"
CHART = DEPLOY / "helm" / "datatrove-exporter"

Documents = list[dict[str, Any]]


def render(values: dict[str, Any]) -> tuple[Documents, str]:
    """The chart's documents, and its notes."""
    with helm_python.Chart.load(str(CHART)) as chart:
        texts = chart.render(values, name="demo", namespace="monitoring")
    notes = texts.pop(f"{CHART.name}/templates/NOTES.txt")
    documents = [d for text in texts.values() for d in yaml.safe_load_all(text) if d]
    return documents, notes


def kustomize(folder: Path) -> Documents:
    """The documents of a folder with a ``kustomization.yaml``."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, check=True, text=True, timeout=100
    )
    return list(yaml.safe_load_all(done.stdout))


def of_kind(documents: Documents, *kinds: str) -> Documents:
    return [document for document in documents if document["kind"] in kinds]


def workload(documents: Documents) -> dict[str, Any]:
    (found,) = of_kind(documents, "Deployment", "StatefulSet")
    return found
