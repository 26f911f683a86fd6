"""Jobs that other shards have: what is read of them, and that nothing of it is published."""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from support.jobs import archives, real
from support.jobs.folders import LAUNCH, write_executor, write_job, write_marker
from support.jobs.homes import closing as closing_folders
from support.slurm import jobs as slurm_jobs
from support.snapshots.upstreams import Exporter, names_itself, waits_for

from exporter.config.labels import parse_label_pattern
from exporter.config.settings import RootConfig
from exporter.config.shard import Shard
from exporter.model.job import Job
from exporter.model.upstream import Upstream
from exporter.scanning.root import scan
from exporter.scanning.root.storage import OpenStorage
from exporter.storage import open_storage

SHARDS = 3
HOUR = 3600.0
ORDER = {
    "labels": (parse_label_pattern("{pipeline}/{dump}/{stage}"),),
    "stage_order": ("first", "second", "third"),
}
MakeJob = Callable[..., Path]


def config_of(root: Path, shard: Shard, **options: object) -> RootConfig:
    always = {"completed_scan_interval_seconds": 0.0, "verify_interval_seconds": 0.0}
    defaults = {"max_depth": 8, **always}
    return RootConfig(root.name, str(root), shard=shard, **{**defaults, **options})


class Estate:
    """One exporter of some roots, and three shards of the same."""

    def __init__(
        self,
        stack: ExitStack,
        *roots: Path,
        tolerance_seconds: float,
        opener: OpenStorage = open_storage,
        **options: object,
    ) -> None:
        def start(shard: Shard) -> Exporter:
            configs = [config_of(root, shard, **options) for root in roots]
            exporter = Exporter(*configs, tolerance_seconds=tolerance_seconds, opener=opener)
            return stack.enter_context(closing(exporter))

        self.whole = start(Shard())
        self.shards = [start(Shard(index, SHARDS)) for index in range(SHARDS)]

    def scan(self) -> tuple[dict[str, Job], list[dict[str, Job]]]:
        return self.whole.scan(), [shard.scan() for shard in self.shards]

    def agree(self) -> dict[str, Upstream]:
        """The upstreams, which the shards together know as the one exporter does."""
        whole, parts = self.scan()
        together: dict[str, Job] = {}
        for part in parts:
            assert not together.keys() & part.keys()
            together |= part
        assert together.keys() == whole.keys()
        assert {n: j.upstream for n, j in together.items()} == {
            n: j.upstream for n, j in whole.items()
        }
        return {n: job.upstream for n, job in whole.items() if job.upstream is not None}


MakeEstate = Callable[..., Estate]


@pytest.fixture
def estate() -> Iterator[MakeEstate]:
    with ExitStack() as stack:

        def make(*roots: Path, tolerance_seconds: float = 60.0, **options: object) -> Estate:
            return Estate(stack, *roots, tolerance_seconds=tolerance_seconds, **options)

        yield make


def crosses_shards(found: Mapping[str, Upstream]) -> bool:
    owner = lambda root, name: next(  # noqa: E731
        i for i in range(SHARDS) if Shard(i, SHARDS).owns(root, name)
    )
    return any(
        owner(*name.split(":", 1)) != owner(upstream.root, upstream.job_name)
        for name, upstream in found.items()
    )


@pytest.mark.parametrize("tolerance_seconds", [0.0, 60.0])
def test_shards_know_the_upstreams_of_real_folders(
    tolerance_seconds: float, tmp_path: Path, estate: MakeEstate
) -> None:
    """By the folder that a job waits for, and by Slurm's number. One is late by 14 seconds."""
    roots = [
        slurm_jobs.unpack(tmp_path / "slurm") / "jobs",
        real.unpack(tmp_path / "real"),
        archives.unpack("task_states.tar.gz", tmp_path / "states") / "local",
    ]
    made = estate(*roots, tolerance_seconds=tolerance_seconds)
    found = made.agree()
    assert Counter(upstream.via for upstream in found.values()) == {"slurm": 7, "depends": 3}
    assert crosses_shards(found)
    assert {n for n, up in found.items() if up.late} == (
        {"jobs:arrays/buckets", "real:slurm_run/buckets"}
        if tolerance_seconds == 0
        else {"jobs:arrays/buckets"}
    )
    made.agree()


def random_estate(folder: Path, seed: int) -> None:
    """Chains in which jobs depend on each other by folder, by number and by label; some are
    missing, some copied, some broken, and their markers come when they like."""
    some = random.Random(seed)
    for dump in range(6):
        for at, stage in enumerate(("first", "second", "third")):
            if some.random() < 0.1:
                continue
            name, tasks = f"minhash/{dump}/{stage}", some.choice([1, 3, 5])
            keys: dict[str, object] = {}
            array = 100 + 10 * dump + at
            if some.random() < 0.5:
                keys = {"partition": "cpu", "depends_job_id": str(array - 1)} if at else {}
                keys["partition"] = "cpu"
            else:
                keys = names_itself(f"/logs/{name}")
                if at:
                    before = ("first", "second", "third")[at - 1]
                    keys |= waits_for(f"/logs/minhash/{dump}/{before}")
            job = folder / "minhash" / str(dump) / stage
            launch = LAUNCH + HOUR * some.randrange(1, 9)
            done = [rank for rank in range(tasks) if some.random() < 0.8]
            write_job(job, tasks=tasks, completed=done, launch=launch, **keys)
            if "partition" in keys and done:
                (job / "slurm_logs").mkdir()
                (job / "slurm_logs" / f"{array}_0.out").touch()
            if some.random() < 0.1:
                (job / "executor.json").write_text('{"world_size": ')
                os.utime(job / "executor.json", (LAUNCH, LAUNCH))
            elif some.random() < 0.1:
                shutil.copytree(job, folder / "minhash" / str(dump) / f"{stage}-copy")


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_shards_know_the_upstreams_of_any_estate(
    seed: int, *, ordered: bool, tmp_path: Path, estate: MakeEstate
) -> None:
    """Also after tasks were completed, launched again and deleted."""
    root, some = tmp_path / "root", random.Random(seed)
    random_estate(root, seed)
    made = estate(root, **(ORDER if ordered else {}))
    assert made.agree()
    for _ in range(4):
        jobs = sorted(path.parent for path in root.rglob("executor.json"))
        for job in some.sample(jobs, 4):
            what = some.choice(["marker", "relaunch", "delete"])
            if what == "marker":
                write_marker(job, "00000", LAUNCH + HOUR * some.randrange(20))
            elif what == "relaunch":
                write_executor(job, tasks=3, launch=LAUNCH + HOUR * some.randrange(20, 30))
            else:
                shutil.rmtree(job)
        made.scan()  # what is an upstream only since another job was deleted is read a scan later
        made.agree()


def test_jobs_that_others_have_are_neither_counted_nor_published(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    for number in range(9):
        before = waits_for(f"/{number - 1}") if number else {}
        make_job(f"job-{number}", tasks=2, **names_itself(f"/{number}"), **before)
    (root / "job-4" / "executor.json").write_text("[]")
    made = estate(root)
    assert len(made.agree()) == 8 - 2
    parts = [shard.latest.read().roots[0] for shard in made.shards]
    whole = made.whole.latest.read().roots[0]
    assert whole.totals is not None
    for field in ("jobs", "tasks", "jobs_unreadable"):
        assert sum(getattr(part.totals, field) for part in parts) == getattr(whole.totals, field)
    errors = Counter[object]()
    for part in parts:
        errors.update(dict(part.errors))
    assert errors == Counter(dict(whole.errors))


def test_an_upstream_that_filters_leave_out_is_known_to_no_shard(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    """Whoever leaves jobs out says that they are not to be read, by whichever exporter."""
    for dump in range(8):
        make_job(f"minhash/{dump}/first", **names_itself(f"/{dump}/first"))
        make_job(f"minhash/{dump}/second", **waits_for(f"/{dump}/first"))
    assert len(estate(root).agree()) == 8
    for filters in (
        {"exclude": ("*/first",)},
        {"include": ("*/second",)},
        {"exclude": ("*/first",), **ORDER},
    ):
        made = estate(root, **filters)
        assert made.agree() == {}


def test_hidden_jobs_have_upstreams_and_are_some(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    for number in range(9):
        before = waits_for(f"/{number - 1}") if number else {}
        make_job(f"{number}", tasks=1, completed=[0], **names_itself(f"/{number}"), **before)
    made = estate(root, hide_completed_after_seconds=0.0)
    found = made.agree()
    assert len(found) == 8
    assert {upstream.completed for upstream in found.values()} == {1}


def test_stages_come_from_the_names_of_all_jobs(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    """Nothing in `a/x1` alone tells which part is the item."""
    for name in [f"{step}/{item}" for step in ("alpha", "beta") for item in ("x1", "y2", "z3")]:
        make_job(name)
    made = estate(root)
    made.scan()

    def groups(exporter: Exporter) -> dict[str, object]:
        (of,) = exporter.latest.read().roots
        return dict(zip((job.name for job in of.jobs), of.groups, strict=True))

    together: dict[str, object] = {}
    for shard in made.shards:
        together |= groups(shard)
    assert together == groups(made.whole)


def test_an_upstream_in_a_folder_that_cannot_be_listed_is_known_and_its_numbers_are_not(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    for dump in range(8):
        make_job(f"minhash/{dump}/first", tasks=2)
        make_job(f"minhash/{dump}/second")
    closed = closing_folders(*(f"minhash/{dump}/first" for dump in range(4)))
    found = estate(root, opener=closed, **ORDER).agree()
    assert Counter(upstream.remaining for upstream in found.values()) == {None: 4, 2: 4}


def test_an_upstream_is_followed_at_every_scan_until_it_is_complete(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    chain_of(make_job, 9, tasks=3, completed=[0])
    made = estate(root, completed_scan_interval_seconds=HOUR, verify_interval_seconds=HOUR)
    for rank, remaining in ((0, 2), (1, 1), (2, 0)):
        for number in range(9):
            write_marker(root / f"{number}", f"{rank:05d}", LAUNCH + HOUR)
        assert {upstream.remaining for upstream in made.agree().values()} == {remaining}


def chain_of(make_job: MakeJob, jobs: int, **keys: object) -> None:
    for number in range(jobs):
        before = waits_for(f"/{number - 1}") if number else {}
        make_job(f"{number}", **keys, **names_itself(f"/{number}"), **before)


def reads_of(exporter: Exporter) -> int:
    (root,) = exporter.latest.read().roots
    return dict(root.requests)["read"]


def test_where_the_order_tells_all_upstreams_nobody_reads_what_others_say_of_themselves(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    for dump in range(6):
        make_job(f"minhash/{dump}/first", **names_itself(f"/{dump}/first"))
        make_job(f"minhash/{dump}/second", **waits_for(f"/{dump}/first"))
        make_job(f"minhash/{dump}/extra")
    made = estate(root, **ORDER)
    made.agree()
    for shard in made.shards:
        ours = shard.latest.read().roots[0].jobs
        read = {job.upstream.job_name for job in ours if job.upstream is not None}
        assert reads_of(shard) == len({job.name for job in ours} | read) < 18


def test_a_scan_asks_so_many_jobs_of_others_and_the_next_one_goes_on(
    root: Path, make_job: MakeJob, estate: MakeEstate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "_MOST_ASKED", 2)
    chain_of(make_job, 12, tasks=2, completed=[0])
    made = estate(root, verify_interval_seconds=HOUR, completed_scan_interval_seconds=HOUR)
    known = [sum(len(shard.upstreams()) for shard in made.shards) for _ in range(8)]
    assert known[0] < known[-1] == 11


def test_stages_and_items_are_the_very_same_objects_while_nothing_changes(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    chain_of(make_job, 9)
    made = estate(root)
    made.scan()
    before = [shard.latest.read().roots[0].groups for shard in made.shards]
    made.scan()
    for groups, shard in zip(before, made.shards, strict=True):
        assert shard.latest.read().roots[0].groups is groups


def test_a_root_that_was_lost_comes_back_with_its_upstreams(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    chain_of(make_job, 9, tasks=2, completed=[0])
    made = estate(root, stale_after_seconds=0.0)
    assert len(made.agree()) == 8
    away = root.rename(root.with_name("away"))
    assert made.agree() == {}
    away.rename(root)
    made.scan()
    assert {upstream.remaining for upstream in made.agree().values()} == {1}


def test_another_folder_in_the_place_of_an_upstream_is_another_job(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    """What the one before said of itself is forgotten, and not only after an hour."""
    chain_of(make_job, 9, tasks=2)
    made = estate(root, verify_interval_seconds=HOUR)
    assert len(made.agree()) == 8
    for number in range(8):
        (root / f"{number}").rename(root.with_name(f"old-{number}"))
        before = waits_for(f"/{number - 1}") if number else {}
        make_job(f"{number}", tasks=2, **names_itself(f"/other-{number}"), **before)
    made.scan()
    assert made.agree() == {}


def test_an_upstream_that_breaks_is_known_and_what_was_read_of_it_is_kept(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    for number in range(8):
        before = waits_for(f"/{number - 1}") if number else {}
        make_job(f"{number}", tasks=2, completed=[0], **names_itself(f"/{number}"), **before)
    made = estate(root)
    assert {upstream.remaining for upstream in made.agree().values()} == {1}
    for number in range(8):
        (root / str(number) / "executor.json").write_text("[]")
    found = made.agree()
    assert {upstream.remaining for upstream in found.values()} == {None}
    assert len(found) == 7
    for number in range(8):
        before = waits_for(f"/{number - 1}") if number else {}
        write_executor(root / str(number), tasks=3, **names_itself(f"/{number}"), **before)
    assert {upstream.remaining for upstream in made.agree().values()} == {2}


def test_what_nobody_reads_of_costs_no_look(
    root: Path, make_job: MakeJob, estate: MakeEstate
) -> None:
    """Without a job that waits for another, jobs that others have are not read at all; with one,
    once what each says of itself, and only its upstream is followed."""
    for number in range(12):
        make_job(f"job-{number}", tasks=2, completed=[0], **names_itself(f"/{number}"))
    made = estate(root, verify_interval_seconds=HOUR, completed_scan_interval_seconds=HOUR)
    made.agree()
    steady = requests_of_shards(made)
    write_executor(root / "job-0", tasks=2, **names_itself("/0"), **waits_for("/7"))
    made.agree()
    owner = next(shard for shard in made.shards if "root:job-0" in shard.scan())
    others = 12 - len(owner.scan())
    made.agree()
    assert others > 3
    looks = [after - before for before, after in zip(steady, requests_of_shards(made), strict=True)]
    is_ours = "root:job-7" in owner.scan()
    assert sorted(looks) == [0, 0, 0 if is_ours else 3]


def requests_of_shards(made: Estate) -> list[int]:
    """Sent by a scan when nothing is new."""
    counts = []
    for shard in made.shards:
        before = shard.requests()
        shard.scan()
        counts.append(shard.requests() - before)
    return counts
