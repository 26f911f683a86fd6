"""Reads the two ends of a file: its beginning and its end, which may be one."""

from exporter.storage.base import PART_BYTES, Path, Storage


def read_ends(storage: Storage, path: Path, file: str) -> tuple[bytes, bytes]:
    """The first and the last bytes of a file of the job at `path`. Of a small one both are the
    very same object, and cost one read."""
    end = storage.read_part(path, file, of_end=True)
    head = end if len(end) < PART_BYTES else storage.read_part(path, file)
    return head, end
