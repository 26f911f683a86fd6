"""What was completed lately and when all is done, from a real exporter over its life."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.jobs.folders import write_executor, write_marker
from support.processes import Exporter, serving
from support.servers import BUCKET, S3Server, wait_until

pytest_plugins = ["support.servers_fixtures"]

DAY = 86_400
DUMPS = ("2020-05", "2020-10", "2020-16")
SCAN = {"interval": "1s"}


def write_pipeline(root: Path, now: float) -> None:
    """Three dumps: all filtered, at 4 tasks a day for nine days, each complete; and tokenized, at
    4 tasks a day, with 72 of 144 to come."""
    for at, dump in enumerate(DUMPS):
        for stage, tasks, a_day in (("filter", 12, 4), ("tokenize", 48, 4)):
            job = root / f"{stage}/CC-MAIN-{dump}"
            job.mkdir(parents=True)
            write_executor(job, tasks=tasks, launch=now - 20 * DAY + tasks + at)
            marked = tasks if stage == "filter" else 12 * (3 - at)
            for rank in range(marked):
                # The dumps one after the other: filtered 3 days each, tokenized 9, 6 and 3 days.
                days = (
                    9 - 3 * at - (rank + 0.5) / a_day if stage == "filter" else (rank + 0.5) / a_day
                )
                write_marker(job, f"{rank:05d}", now - days * DAY)


def stages(exporter: Exporter, query: str = "") -> dict[str, Any]:
    answer = exporter.get(f"/api/v1/stages{query}")
    assert answer.status == 200
    found = json.loads(answer.body)
    return {**{stage["stage"]: stage for stage in found["stages"]}, "": found["whole"]}


def comes(exporter: Exporter, holds: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        shown = stages(exporter)
        return shown if holds(shown) else None

    return wait_until(found, what)


def test_a_pipeline_is_seen_as_one_from_its_first_scan_to_its_end(tmp_path: Path) -> None:
    root, now = tmp_path / "root", time.time()
    write_pipeline(root, now)
    with serving(tmp_path, roots=[str(root)], scan=SCAN) as exporter:
        exporter.wait_until_ready()
        shown = stages(exporter)
        assert list(shown) == ["filter/*", "tokenize/*", ""]
        filtered, tokenized, whole = shown.values()
        assert (filtered["jobs_in_state"]["complete"], filtered["tasks_left"]) == (3, 0)
        assert filtered["done_about_timestamp"] is None
        assert (tokenized["tasks_last_day"], tokenized["tasks_left"]) == (12, 72)
        # Of seven days, on three three dumps were tokenized, on three two, on one one.
        assert tokenized["tasks_per_day"] == pytest.approx((3 * 12 + 3 * 8 + 4) / 7)
        assert tokenized["done_about_timestamp"] == pytest.approx(
            now + 72 / (64 / 7) * DAY, abs=600
        )
        assert tokenized["done_about_earliest_timestamp"] == pytest.approx(now + 6 * DAY, abs=600)
        assert tokenized["done_about_latest_timestamp"] == pytest.approx(now + 18 * DAY, abs=600)
        assert whole["tasks_last_day"] == 12 + 4
        assert (tokenized["is_slowest"], filtered["is_slowest"]) == (True, False)

        # Deleting what is done, and what is not, undoes no work.
        shutil.rmtree(root / "filter/CC-MAIN-2020-16")
        (root / "tokenize/CC-MAIN-2020-05/completions/00000").unlink()
        shown = comes(exporter, lambda s: s[""]["tasks_left"] == 73, "both deletions are seen")
        assert shown["filter/*"]["jobs"] == 2
        assert shown[""]["tasks_last_day"] == 12 + 4
        write_marker(root / "tokenize/CC-MAIN-2020-05", "00000", time.time())
        shown = comes(exporter, lambda s: s[""]["tasks_left"] == 72, "the task is done again")
        assert shown["tokenize/*"]["tasks_last_day"] == 13
        assert stages(exporter, "?name=2020-16")[""]["tasks_last_day"] == 4 + 4
        assert exporter.end(signal.SIGTERM) == 0

    # What is there tells the same to one that was started again; what is gone, nobody knows.
    with serving(tmp_path, roots=[str(root)], scan=SCAN) as exporter:
        exporter.wait_until_ready()
        shown = stages(exporter)
        assert shown["tokenize/*"]["tasks_last_day"] == 12
        assert shown["tokenize/*"]["done_about_timestamp"] is not None
        assert shown["filter/*"]["tasks_by_day"][-8:] == [4, 4, 4, 4, 4, 0, 0, 0]
        for rank in range(48):
            for dump in DUMPS:
                marker = root / f"tokenize/CC-MAIN-{dump}/completions/{rank:05d}"
                if not marker.exists():
                    write_marker(marker.parent.parent, marker.name, time.time())
        shown = comes(exporter, lambda s: s[""]["tasks_left"] == 0, "all is done")
        assert shown[""]["done_about_timestamp"] is None
        assert shown[""]["jobs_finished_last_day"] == 3
        assert shown[""]["tasks_last_day"] == 12 + 72


def test_what_is_complete_on_a_disk_when_first_seen_is_known_about(tmp_path: Path) -> None:
    root, now = tmp_path / "root", time.time()
    for dump in DUMPS:
        job = root / f"filter/CC-MAIN-{dump}"
        job.mkdir(parents=True)
        write_executor(job, tasks=200, launch=now - 20 * DAY)
        for rank in range(200):
            write_marker(job, f"{rank:05d}", now - (200 - rank) / 25 * DAY)
        last = now - DAY / 25
        os.utime(job / "completions", (last, last))  # the time that the last marker gave it
    with serving(tmp_path, roots=[str(root)], scan=SCAN) as exporter:
        exporter.wait_until_ready()
        whole = stages(exporter)[""]
        assert whole["known_since_timestamp"] < now - 14 * DAY
        assert sum(whole["tasks_by_day"]) == pytest.approx(600, abs=60)
        assert max(whole["tasks_by_day"]) < 200


def test_on_s3_what_comes_is_counted_and_what_goes_stays(
    tmp_path: Path, s3_server: S3Server
) -> None:
    with closing(s3_server.client()) as client:

        def put(key: str, body: bytes = b"") -> None:
            client.put_object(Bucket=BUCKET, Key=f"stages/{key}", Body=body)

        for dump in DUMPS:
            put(f"filter/CC-MAIN-{dump}/executor.json", b'{"world_size": 5}')
            for rank in range(2):
                put(f"filter/CC-MAIN-{dump}/completions/{rank:05d}")
        root = {"url": f"s3://{BUCKET}/stages", "storage_options": s3_server.options}
        with serving(tmp_path, roots=[root], scan=SCAN) as exporter:
            exporter.wait_until_ready()
            shown = stages(exporter)
            assert shown["filter/*"]["tasks_last_day"] == sum(shown[""]["tasks_by_hour"]) == 6
            assert shown[""]["done_about_timestamp"] is None  # known for less than a day
            for rank in range(2, 5):
                put(f"filter/CC-MAIN-2020-05/completions/{rank:05d}")
            shown = comes(exporter, lambda s: s[""]["jobs_finished_last_day"] == 1, "it is done")
            assert shown[""]["tasks_last_day"] == 9
            for kind in ("completions/00000", "completions/00001", "executor.json"):
                client.delete_object(Bucket=BUCKET, Key=f"stages/filter/CC-MAIN-2020-16/{kind}")
            shown = comes(exporter, lambda s: s[""]["jobs"] == 2, "a job is gone")
            assert shown[""]["tasks_last_day"] == 9
