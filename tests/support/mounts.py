"""File systems in user space that tests freeze as a dead file server freezes a mount."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.paths import CACHE
from support.servers import running, wait_until

_FETCHED = CACHE / "fuse"


class Mount:
    """A mounted bindfs."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def freeze(self) -> None:
        """From now on no system call into the mount returns."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let those that wait, and all others, go on."""
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def bindfs(source: Path, mountpoint: Path) -> Iterator[Mount]:
    """Show the folder `source` at `mountpoint`."""
    fetched = _FETCHED / "usr" / "bin" / "bindfs"
    command = shutil.which("bindfs") or (str(fetched) if fetched.exists() else None)
    if command is None:
        pytest.fail("bindfs is not there; scripts/install-fuse .cache/fuse fetches it")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.fail(
            "no access to /dev/fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN"
        )
    mountpoint.mkdir(parents=True, exist_ok=True)
    libraries = ":".join(map(str, (_FETCHED / "lib").glob("*")))
    log = source.with_name(f"{source.name}-bindfs.log")
    options = ["-f", "-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0"]
    environment = {"LD_LIBRARY_PATH": libraries}
    with running([command, *options, source, mountpoint], log, environment) as process:

        def is_mounted() -> bool:
            assert process.poll() is None, log.read_text()
            return os.path.ismount(mountpoint)

        wait_until(is_mounted, "bindfs is mounted")
        mount = Mount(process)
        try:
            yield mount
        finally:
            mount.thaw()
            process.send_signal(signal.SIGTERM)  # it unmounts itself
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                subprocess.run(["umount", "--lazy", mountpoint], check=False)
