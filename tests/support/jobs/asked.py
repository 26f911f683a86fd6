"""One job folder on a storage, asked about as a scan asks."""

from exporter.storage.base import Look, Path, Storage, Version


class JobFolder:
    """The job folder at a path below the root of a storage. Looks afresh at each call."""

    def __init__(self, storage: Storage, *path: str) -> None:
        self.storage = storage
        self.path: Path = path

    def look(self, last: Look | None = None, *, thorough: bool = False) -> Look:
        folder = self.storage.list_folder(self.path, with_subfolders=True, thorough=thorough)
        return self.storage.look(self.path, folder, last, thorough=thorough)

    def version(self) -> Version:
        return self.look().executor

    def read(self, limit_bytes: int = 1000) -> bytes:
        """Content of ``executor.json``."""
        return self.storage.read_executor(self.path, Version(None, None), limit_bytes)[1]

    def ranks(self) -> list[int]:
        """Ranks that have a marker."""
        return list(self.look().markers.ranks)

    def has_logs(self) -> bool:
        return self.look().has_logs
