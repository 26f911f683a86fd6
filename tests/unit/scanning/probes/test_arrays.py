"""The Slurm arrays that a job ran as, by the names in its folder."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.errors import StorageError
from exporter.scanning.probes.arrays import Arrays, find_arrays
from exporter.storage.base import Choose, File, NameRange
from exporter.storage.base import Path as JobPath
from exporter.storage.local.storage import LocalStorage


class CountedStorage(LocalStorage):
    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.listed = 0
        self.fails = False

    def list_files(
        self,
        path: JobPath,
        inner: str,
        wanted: Choose | None = None,
        *,
        between: Sequence[NameRange] = (),
        at_most: int | None = None,
    ) -> list[File]:
        self.listed += 1
        if self.fails:
            raise StorageError("timeout", "no answer")
        return super().list_files(path, inner, wanted, between=between, at_most=at_most)


@pytest.fixture
def storage(root: Path) -> CountedStorage:
    return CountedStorage(root)


def write_outputs(root: Path, *names: str) -> None:
    folder = root / "job" / "slurm_logs"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def test_the_names_in_slurm_logs_tell_the_arrays_of_all_launches(
    root: Path, storage: CountedStorage
) -> None:
    write_outputs(root, "25_0.out", "25_1.out", "7_0.out", "core.9", "x_1.out", "026_0.out")
    arrays = find_arrays(storage, ("job",), 5, None, (), is_complete=True)
    assert arrays == Arrays(5, (7, 25), is_final=True)


def test_they_are_listed_once_when_the_launch_began_and_once_when_it_is_done(
    root: Path, storage: CountedStorage
) -> None:
    write_outputs(root, "25_0.out")
    began = find_arrays(storage, ("job",), 5, None, (), is_complete=False)
    assert began == Arrays(5, (25,))
    assert find_arrays(storage, ("job",), 5, began, (), is_complete=False) is began
    write_outputs(root, "26_0.out")
    done = find_arrays(storage, ("job",), 5, began, (), is_complete=True)
    assert done == Arrays(5, (25, 26), is_final=True)
    assert find_arrays(storage, ("job",), 5, done, (), is_complete=True) is done
    assert storage.listed == 2
    again = find_arrays(storage, ("job",), 6, done, (), is_complete=False)
    assert again == Arrays(6, (25, 26))


def test_what_a_look_at_the_logs_lists_anyway_is_not_listed_again(
    root: Path, storage: CountedStorage
) -> None:
    first = find_arrays(storage, ("job",), 5, None, [(25, 0), (25, 1)], is_complete=False)
    assert first == Arrays(5, (25,))
    second = find_arrays(storage, ("job",), 5, first, [(25, 0), (26, 0)], is_complete=False)
    assert second == Arrays(5, (25, 26))
    assert storage.listed == 0


def test_trouble_costs_nothing_that_is_known(storage: CountedStorage) -> None:
    storage.fails = True
    known = Arrays(5, (25,))
    assert find_arrays(storage, ("job",), 5, known, (), is_complete=True) is known


def test_of_a_crowd_of_arrays_the_newest_are_kept(root: Path, storage: CountedStorage) -> None:
    seen = [(number, 0) for number in range(1, 3000)]
    arrays = find_arrays(storage, ("job",), 5, None, seen, is_complete=False)
    assert arrays is not None
    assert (len(arrays.ids), arrays.ids[-1]) == (1000, 2999)


def test_of_a_folder_of_a_hundred_thousand_outputs_so_many_names_are_read(
    root: Path, storage: CountedStorage
) -> None:
    """In no order. What was seen while the launch ran stays, and so does the last array."""
    folder = root / "job" / "slurm_logs"
    folder.mkdir(parents=True)
    source = folder / "1_0.out"
    source.touch()
    for index in range(30_000):
        os.link(source, folder / f"5_{index}.out")
    os.link(source, folder / "9_0.out")
    began = Arrays(5, (5, 4242))
    done = find_arrays(storage, ("job",), 5, began, (), is_complete=True)
    assert done is not None
    assert set(done.ids) >= {5, 4242}
    first = find_arrays(storage, ("job",), 5, None, (), is_complete=True)
    assert first is not None
    assert set(first.ids) <= {1, 5, 9}
    assert len(storage.list_files(("job",), "slurm_logs", at_most=10_000)) == 10_000


def test_an_array_whose_outputs_were_deleted_is_none(root: Path, storage: CountedStorage) -> None:
    write_outputs(root, "25_0.out")
    began = Arrays(5, (7, 25))
    assert find_arrays(storage, ("job",), 5, began, (), is_complete=True) == Arrays(5, (25,), True)
