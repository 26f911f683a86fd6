"""Queries that several dashboards ask: which jobs, how far, and the most of many."""

ROOT = 'job=~"$job", root=~"$root"'
JOB = f'{ROOT}, job_name=~"$job_name"'
PER_JOB = "root_job_name:datatrove_job_"
KEYS = "job, cluster, namespace, team, root, job_name"
"""The labels that tell jobs apart, as the rules have them."""

NOW = " @ end()"
"""After a selector: its value at the end of the time range, so that the same few of many are chosen
for a whole graph."""


def last_completion(matchers: str, at: str = "") -> str:
    """Unix time of the newest completion."""
    name = "datatrove_job_last_completion_timestamp_seconds"
    return f"max without (instance, pod) ({name}{{{matchers}}}{at})"


def longest_gap(matchers: str) -> str:
    """The longest wait for a completion since the job's start."""
    name = "datatrove_job_longest_completion_gap_seconds"
    return f"max without (instance, pod) ({name}{{{matchers}}})"


def idle(matchers: str, at: str = "") -> str:
    """Time since the last completion; of jobs with tasks left."""
    since = f"clamp_min(time() - {last_completion(matchers, at)}, 0)"
    return f"{since} and {unfinished(matchers, at)}"


def unfinished(matchers: str, at: str = "") -> str:
    """Jobs with tasks left, by how many."""
    return f"{PER_JOB}tasks_remaining:max{{{matchers}}}{at} > 0"


def ratio(matchers: str, at: str = "") -> str:
    """Completed tasks over tasks."""
    done, tasks = (
        f"{PER_JOB}{name}:max{{{matchers}}}{at}" for name in ("tasks_completed", "tasks")
    )
    return f"{done} / {tasks}"


def with_rest(wanted: str, wanted_now: str, most: int = 9) -> tuple[str, str]:
    """The series that are largest at the end of the time range, and the sum of all others."""
    largest = f"({wanted}) and topk({most}, {wanted_now})"
    return largest, f"sum({wanted}) - sum({largest}) > 0"


def pace(completed: str) -> str:
    """Tasks completed in the hour before."""
    return f"clamp_min(delta({completed}[1h]), 0)"
