"""Roots of many users on S3: what a scan asks, as the server counts."""

from collections.abc import Iterator

import pytest
from support.jobs.homes import LOGS, Scans, names_of
from support.servers import Answer, HttpServer, Request
from support.storages.in_memory_s3 import Objects

from exporter.config.settings import StorageOptions

USERS, OTHERS = 12, 60
DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
FOLDERS = f"home/*/{LOGS}/**"


class Homes:
    """Homes in a bucket, most of whose folders hold nothing to be read."""

    def __init__(self) -> None:
        self.objects = Objects()
        for user in range(USERS):
            home = f"logs/home/user-{user:02}"
            for other in range(OTHERS):
                self.objects.put(f"{home}/project-{other}/part/file")
            self.objects.put(f"{home}/{LOGS}/run/completions/00000")
            self.objects.put(
                f"{home}/{LOGS}/run/executor.json", b'{"start_method": "spawn", "world_size": 2}'
            )
        for other in range(OTHERS):
            self.objects.put(f"logs/other-{other}/part/file")
        self.listed: list[str] = []
        self.closed = ""
        self.server = HttpServer(self._answer)

    def _answer(self, request: Request) -> Answer:
        prefix = request.query.get("prefix", "")
        self.listed.append(prefix)
        if self.closed and prefix.startswith(self.closed):
            return Answer(403, DENIED, {"Content-Type": "application/xml"})
        return self.objects.answer(request)

    def scans(self, *folders: str, **options: object) -> Scans:
        keys = {"endpoint_url": self.server.url, "key": "any", "secret": "any"}
        options |= {"storage_options": StorageOptions(keys)}
        return Scans("s3://bucket/logs", *folders, **options)

    def cost(self, scans: Scans) -> int:
        self.listed.clear()
        assert len(scans.scan().jobs) == USERS
        return len(self.listed)


@pytest.fixture
def homes() -> Iterator[Homes]:
    found = Homes()
    with found.server:
        yield found


def test_only_prefixes_that_lead_to_jobs_are_listed(homes: Homes) -> None:
    scans = homes.scans(FOLDERS)
    homes.cost(scans)
    assert not any("project" in prefix or "other" in prefix for prefix in homes.listed)
    steady = homes.cost(scans)
    # The root, which is no job; home/; of each user the logs, the run and what it misses.
    assert steady == 2 + 3 * USERS
    assert homes.listed.count("logs/home/") == 1
    everything = homes.scans(include=(f"home/*/{LOGS}/*",))
    homes.cost(everything)
    assert homes.cost(everything) > 30 * steady


def test_a_user_without_logs_costs_one_list(homes: Homes) -> None:
    scans = homes.scans(FOLDERS)
    homes.cost(scans)
    before = homes.cost(scans)
    homes.objects.put("logs/home/zoe/project/file")
    homes.cost(scans)
    assert homes.cost(scans) == before + 1


def test_a_closed_prefix_is_nobodys_error(homes: Homes) -> None:
    homes.closed = f"logs/home/user-03/{LOGS}/"
    root = homes.scans(FOLDERS).scan()
    assert (root.up, len(root.jobs), root.folders_denied) == (True, USERS - 1, 1)
    assert not any(name.startswith("home/user-03") for name in names_of(root))
    assert not any(count for _, count in root.errors)
