"""Coverage-guided fuzzing of everything that reads what lies in a job folder.

python tests/fuzz/fuzz_executor.py [libFuzzer's options]
"""

import re
import sys

import atheris

with atheris.instrument_imports():
    from exporter.datatrove.executor_file import Executor, ExecutorFileError, parse_executor
    from exporter.datatrove.layout import display_name, marker_name, rank_of
    from exporter.datatrove.ranks import Markers

_SHOWN = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]*")


def check(data: bytes) -> None:
    """Any bytes are read or refused, in our own words; names stay names."""
    try:
        executor = parse_executor(data)
    except ExecutorFileError as error:
        assert str(error).isascii()
        assert len(str(error)) < 100
    else:
        assert isinstance(executor, Executor)
        assert type(executor.world_size) is int
        assert 1 <= executor.world_size <= 2**53
        assert _SHOWN.fullmatch(executor.slurm_job_name)
    names = [part.decode("utf-8", "surrogateescape") for part in data.split(b"/")[:50]]
    for name in names:
        assert _SHOWN.fullmatch(display_name(name))
        rank = rank_of(name)
        assert rank is None or marker_name(rank) == name
    assert len({display_name(name) for name in names}) == len(set(names))
    markers = Markers.of_names(list(set(names)))
    assert markers.ranks.count_below(1000) + markers.stray(1000) == len(set(names))
    missing = sum(last - first + 1 for first, last in markers.ranks.missing_runs(1000))
    assert missing + markers.ranks.count_below(1000) == 1000


if __name__ == "__main__":
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
