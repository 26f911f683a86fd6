"""A virtual machine with the system that scripts/build-images made, and a Linux of its own.

Where containers have no control groups of their own, it has. It runs in software (qemu's TCG), so
nothing is asked of this machine, and boots in half a minute. Nothing it writes stays.
"""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from support.deployed.containers import FOLDER


def told_by_machine(files: Mapping[str, str], script: str) -> str:
    """What a shell script prints that the machine runs once it is up, as root and with `files`.
    It must succeed."""
    with tempfile.TemporaryDirectory() as folder:
        disk, told = Path(folder, "files.tar"), Path(folder, "told")
        begin = "exec > /dev/ttyS1 2>&1\nset -e\n"
        disk.write_bytes(_packed({**files, "/run.sh": f"{begin}{script}\necho succeeded\n"}))
        run = "/bin/sh -c 'tar --extract --file=/dev/vdb --directory=/ && sh /run.sh'"
        (kernel,) = (FOLDER / "system" / "boot").glob("vmlinuz-*")
        (initrd,) = (FOLDER / "system" / "boot").glob("initrd.img-*")
        command = [
            *("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "3G", "-display", "none"),
            *("-no-reboot", "-monitor", "none", "-kernel", kernel, "-initrd", initrd),
            *("-append", f'root=/dev/vda rw console=ttyS0 systemd.run="{run}"'),
            *("-drive", f"file={FOLDER / 'system.img'},format=raw,if=virtio,snapshot=on"),
            *("-drive", f"file={disk},format=raw,if=virtio,snapshot=on"),
            *("-serial", "stdio", "-serial", f"file:{told}"),
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=380
        )
        text = told.read_text().replace("\r\n", "\n")
        assert text.endswith("succeeded\n"), done.stdout[-3000:] + done.stderr + text.encode()
        return text


def _packed(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name.lstrip("/"))
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()
