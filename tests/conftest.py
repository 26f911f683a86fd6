"""Fixtures that several test modules use."""

import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest
from support.jobs.folders import write_job

pytest_plugins = [
    "support.servers_fixtures",
    "support.storages.backends_fixtures",
    "support.browser_fixtures",
]

# Nothing asserts a time: a busy machine, or coverage, makes every example slow.
hypothesis.settings.register_profile(
    "no times", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("no times")


# What nohup and a shell's & ignore is ignored here, too, but no longer by the processes that the
# tests start: across exec, a handler becomes the default, and an ignored signal stays ignored.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder to be used as a root."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def make_job(root: Path) -> Callable[..., Path]:
    """Writes job folders below `root`: ``make_job("name", tasks=4, completed=[0, 1])``."""

    def make(name: str, **options: object) -> Path:
        return write_job(root / name, **options)

    return make
