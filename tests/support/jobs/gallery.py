"""A tree of jobs in every state as of now, one that has failed and one with steps among them, and
one of hostile names, for the pages."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from support.jobs.folders import write_job, write_marker
from support.jobs.stats import a_pipeline, a_step, write_stats

HOUR = 3600.0

HOSTILE_NAMES: tuple[bytes, ...] = (
    b"<img src=x onerror=alert(1)>",
    b'"><script>alert(1)</script>',
    b"' onmouseover='alert(1)",
    b"a&lt;b&#x3c;",
    b"line\nbreak\r\ttab",
    b"not utf-8 \xff\xfe",
    b"back\\slash \\x41",
    b"question?hash#percent%2e%",
    "right-to-left \u202e gnp.exe".encode(),
    "\u0301 combining, \ufeff mark, \u2028 separator".encode(),
    b"</title></style></textarea>",
    b"{{7*7}} ${7*7} `id` $(id)",
    b" spaces at both ends ",
    b"x" * 200,
    "日本語/שלום".encode(),
)
"""Folder names that break pages which put names together with markup."""


def write_gallery(folder: Path) -> dict[str, Path]:
    """Write the tree; its roots by name. One of them does not exist."""
    now = time.time()
    fineweb, books = folder / "fineweb", folder / "books"
    crawl = fineweb / "CC-MAIN-2024-18"
    _moving(crawl / "extract", tasks=2000, done=1312, began=now - 9 * HOUR, last=now - 21)
    _moving(crawl / "minhash" / "signatures", tasks=1000, done=1000, began=now - 30 * HOUR,
            last=now - 11 * HOUR)  # fmt: skip
    _moving(crawl / "minhash" / "buckets", tasks=280, done=97, began=now - 10.5 * HOUR,
            last=now - 6.4 * HOUR)  # fmt: skip
    _launched_by_slurm(crawl / "minhash" / "buckets", tasks=280, launch=now - 10.5 * HOUR)
    for stage, tasks in (("cluster", 1), ("filter", 1000)):
        write_job(crawl / "minhash" / stage, tasks=tasks)
        _launched_by_slurm(crawl / "minhash" / stage, tasks=tasks, launch=now - 10 * HOUR)
    _moving(fineweb / "CC-MAIN-2024-10" / "extract", tasks=2000, done=2000, began=now - 80 * HOUR,
            last=now - 61 * HOUR)  # fmt: skip
    tokenize = fineweb / "tokenize"
    _moving(tokenize, tasks=400, done=383, began=now - 3 * HOUR, last=now - 95)
    _with_steps(tokenize)
    write_job(books / "corrupt", tasks="many")
    _moving(books / "dedup", tasks=64, done=64, began=now - 50 * HOUR, last=now - 48 * HOUR)
    for number in (64, 65, 66):
        write_marker(books / "dedup", f"{number:05d}", now - 60 * HOUR)
    _failed(books / "parse", now)
    return {"fineweb": fineweb, "books": books, "scratch": folder / "no-such-folder"}


LOG_BEGINS = (
    "2026-01-01 00:00:00.000 | INFO     | datatrove.utils.logging:add_task_logger:58 - Go\n"
)
FAILURES = (
    # ranks, exception, where, message
    (range(96, 104), "IndexError", "extract.py", "list index out of range"),
    ((104, 107, 109), "UnicodeDecodeError", "reader.py", "invalid start byte \u202e<b>0xff</b>"),
    ((110,), "VeryLongNameOfAnExceptionThatSomebodyMadeUpForOneSpecialCaseOnlyError", "own.py", ""),
)


def _failed(folder: Path, now: float) -> None:
    """A local job whose launch ended with failures of several kinds."""
    _moving(folder, tasks=120, done=96, began=now - 9 * HOUR, last=now - 2 * HOUR)
    done = {int(marker.name) for marker in (folder / "completions").iterdir()}
    left = [rank for rank in range(120) if rank not in done]
    (folder / "logs").mkdir()
    for ranks, exception, file, message in FAILURES:
        for rank in (left[rank - 96] for rank in ranks):
            log = folder / "logs" / f"task_{rank:05d}.log"
            log.write_text(
                f"{LOG_BEGINS}2026-01-01 00:00:01.000 | ERROR    | "
                f"datatrove.executor.base:_run_for_rank:102 - {message}\n"
                f'Traceback (most recent call last):\n  File "/src/{file}", line 88, in run\n'
                f"    raise\n{exception}: {message}\n"
            )
            os.utime(log, (now - 7000, now - 7000))


def _with_steps(folder: Path) -> None:
    """Stats of its tasks, some of which cannot be read."""
    for marker in sorted((folder / "completions").iterdir()):
        rank = int(marker.name)
        steps = [*a_pipeline(read=9000 + rank, kept=6000), a_step(LONG_STEP, 70, total=5900)]
        write_stats(folder, rank, b"{" if rank % 100 == 7 else steps)


LONG_STEP = (
    "\N{FACE WITH TEARS OF JOY} - <b>MY</b> STEP \u202e: of a name that nobody reads to its end"
)


def _launched_by_slurm(folder: Path, *, tasks: int, launch: float) -> None:
    content = {"partition": "cpu", "job_name": "mh2-buckets", "world_size": tasks}
    file = folder / "executor.json"
    file.write_text(json.dumps(content))
    os.utime(file, (launch, launch))


def _moving(folder: Path, *, tasks: int, done: int, began: float, last: float) -> None:
    """A job whose completions come a little unevenly from `began` to `last`; every
    seventeenth rank of an unfinished one waits."""
    write_job(folder, tasks=tasks, launch=began)
    for position, rank in enumerate(_order(tasks, done), start=1):
        part = position / done
        write_marker(folder, f"{rank:05d}", began + (last - began) * part**1.15)


def _order(tasks: int, done: int) -> Iterable[int]:
    ranks = list(range(tasks))
    late = ranks[8::17] if done < tasks else []
    early = [rank for rank in ranks if rank not in set(late)]
    return (early + late)[:done]


def write_hostile(folder: Path) -> Path:
    """A root with a job of each hostile name; slashes make folders."""
    for name in HOSTILE_NAMES:
        path = folder / os.fsdecode(name)
        write_job(path, tasks=3, completed=[1], stray=["junk"], launch=time.time() - 300)
    return folder
