"""What a scan could not see of a root, in sentences for people: jobs below `max_depth`, filters
that leave out everything, a root with nothing in it.

Pure. Whoever looks for a job and does not find it gets to know why; nothing is left out in
silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.config.addresses import without_query
from exporter.config.settings import RootConfig
from exporter.model import formatting


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scan saw beside the jobs.

    `folders` were listed, the root among them. `folders_unsearched` lie at `max_depth` and hold
    folders in which was not looked; `example` is one of them, as in a `job_name`; `has_unasked`
    tells that there may be more, because not each was asked. Of those that could not be listed
    `folders_unread` are shown by no job, such as `unread_example`; `folders_denied` are nobody's
    error. The rest is told only where there is no job: how many jobs and folders the filters leave
    out, and whether the root is empty. (On object stores a root that does not exist looks the same.
    A local folder is there, and that it is empty is no news.)
    """

    folders: int = 0
    folders_unsearched: int = 0
    example: str = ""
    has_unasked: bool = False
    folders_unread: int = 0
    unread_example: str = ""
    folders_denied: int = 0
    jobs_left_out: int = 0
    folders_left_out: int = 0
    is_empty: bool = False


def what_is_missed(seen: Seen, config: RootConfig) -> Iterator[str]:
    """Sentences without their full stop; none where everything was looked at."""
    if unsearched := seen.folders_unsearched:
        folders = formatting.counted(unsearched, "folder")
        hold = "holds" if unsearched == 1 else "hold"
        such_as = "" if unsearched == 1 else "such as "
        at_least = "at least " if seen.has_unasked else ""
        yield (
            f"{at_least}{folders} at max_depth {config.max_depth} {hold} more folders, "
            f"in which was not looked: {such_as}{seen.example}"
        )
    if unread := seen.folders_unread:
        folders = formatting.counted(unread, "folder")
        such_as = "" if unread == 1 else "such as "
        yield f"{folders} cannot be read: {such_as}{seen.unread_example}"
    if seen.jobs_left_out or seen.folders_left_out:
        yield _left_out(seen, config)
    elif seen.is_empty and config.folders:
        yield "nothing lies where folders has it: is that how they are spelled?"
    elif seen.is_empty and config.max_depth and "://" in config.url:
        yield f"nothing lies below {without_query(config.url)}: is that how it is spelled?"


def tells_of_prefix(sentence: str) -> bool:
    """Whether one of these says what a prefix leaves out, by itself or with other filters."""
    return sentence.startswith(("prefix", "--prefix"))


def _left_out(seen: Seen, config: RootConfig) -> str:
    if jobs := seen.jobs_left_out:
        filters = {
            "prefix": config.prefix,
            "--prefix": config.asked_prefix,
            "folders": config.folders,
            "include": config.include,
            "exclude": config.exclude,
        }
        names = [name for name, value in filters.items() if value]
        leaves = "leaves" if len(names) == 1 and names != ["folders"] else "leave"
        return f"{formatting.series(names)} {leaves} out {formatting.every(jobs, 'job')} found"
    by = [name for name in ("prefix", "folders") if getattr(config, name)]
    leave = f"{formatting.series(by)} leave{'s' * (by == ['prefix'])} out"
    if seen.folders == 1 and not seen.folders_unread:
        return f"{leave} every folder found ({formatting.count(seen.folders_left_out)})"
    rest = "what else could be read" if seen.folders_unread else "the rest"
    folders = formatting.counted(seen.folders_left_out, "folder")
    return f"{leave} {folders}, and {rest} holds no job"
