"""Fixtures: a browser, and an exporter with a job in every state and of every hostile name."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from support.browsers import chromium
from support.jobs.gallery import write_gallery, write_hostile
from support.processes import Exporter, serving

HOSTILE_ROOT = '<b title="x">s3://bucket/a\'b</b>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module's tests; each has its own context in it.

    No longer than that: while it lives, Playwright keeps an event loop running in this thread,
    in which no other module's test could call ``asyncio.run``.
    """
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """An exporter over the trees of ``job_gallery``."""
    folder = tmp_path_factory.mktemp("gallery")
    roots: list[dict[str, object]] = [
        {"name": name, "url": str(path), "read_stats": "steps"}
        for name, path in write_gallery(folder).items()
    ]
    hostile = write_hostile(folder / "hostile")
    roots.append({"name": HOSTILE_ROOT, "url": str(hostile), "max_depth": 6})
    with serving(folder, roots=roots) as exporter:
        exporter.wait_until_ready()
        yield exporter
