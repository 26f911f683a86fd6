"""Chromium, driven as a person drives it, and a record of what may never happen meanwhile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

NODE_MODULES = Path(__file__).parent / "browser" / "node_modules"
SECONDS = 60
"""How long anything may take; the machine may be busy."""

_QUIET = (
    "--no-sandbox",  # the pages are ours, and the superuser has no sandbox
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def needs_module(name: str) -> Path:
    """A file of an npm package in tests/support/browser/package-lock.json."""
    path = NODE_MODULES / name
    if not path.exists():
        pytest.fail(f"{name} is not in {NODE_MODULES}; scripts/install-browser installs it")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser."""
    path = shutil.which("chromium")
    if path is None:
        pytest.fail("chromium is not on PATH; scripts/install-browser installs it")
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_QUIET))
        yield browser
        browser.close()


@dataclass
class Watch:
    """What a page did that no page of ours may do."""

    origin: str
    seen: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.on("dialog", lambda dialog: (self.seen.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        page.on("request", self._request)
        page.on("console", self._console)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "data:")):
            self.seen.append(f"request: {request.url}")

    def _console(self, message: Any) -> None:
        # A page that is gone, or an exporter, is reported here by the browser itself.
        expected = ("404 (Not Found)", "net::ERR_CONNECTION_REFUSED", "net::ERR_EMPTY_RESPONSE")
        if message.type in ("error", "warning") and not any(e in message.text for e in expected):
            self.seen.append(f"console: {message.text}")


@contextmanager
def watched(browser: Browser, port: int, **options: Any) -> Iterator[Page]:
    """A page in a context of its own. Dialogs, errors, violations of the security policy
    and requests to elsewhere fail the test."""
    watch = Watch(f"http://127.0.0.1:{port}/")
    context: BrowserContext = browser.new_context(
        base_url=watch.origin, viewport={"width": 1280, "height": 800}, **options
    )
    context.set_default_timeout(SECONDS * 1000)
    try:
        page = context.new_page()
        watch.attach(page)
        yield page
    finally:
        context.close()
    if watch.seen:
        pytest.fail("\n".join(watch.seen))


def axe_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page for people who cannot see or point."""
    page.evaluate(needs_module("axe-core/axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['html'][:200]}\n{node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def overlaps(page: Page) -> list[str]:
    """Cells, lines and cards out of which something sticks that is seen."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("th, td, li, dd, .beside, .line, .card, h1, h2")]
        .filter((one) => one.checkVisibility() && !one.closest(".unseen, thead")
            && one.scrollWidth > one.clientWidth + 1
            && getComputedStyle(one).overflowX === "visible"
            && getComputedStyle(one).display !== "inline")
        .map((one) => one.outerHTML.slice(0, 300))"""
    )
    return found
