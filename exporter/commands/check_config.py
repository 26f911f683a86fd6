"""The command ``check-config``: what a configuration means, in words, and what is there."""

from collections.abc import Callable

from exporter.config.addresses import without_query
from exporter.config.durations import format_duration
from exporter.config.settings import Config, RootConfig, StallRule
from exporter.model.snapshot import Latest, Root
from exporter.scanning.scheduler import Scheduler
from exporter.web.security.access import Terms
from exporter.workers import Workers


def describe(config: Config, terms: Terms) -> str:
    """The configuration with defaults filled in, and the terms on which it is served."""
    workers = config.scan_workers
    lines = [f"listen on {config.listen_address}, {workers} scan workers, log {config.log_level}"]
    for root in config.roots:
        lines += _describe_root(root)
    return "\n".join([*lines, _describe_access(terms)])


def _describe_access(terms: Terms) -> str:
    users = len(terms.users)
    asked = f"a password ({users} users)" if users else "no password"
    return f"serve {'HTTPS' if terms.tls else 'plain HTTP'} to clients with {asked}"


def _describe_root(root: RootConfig) -> list[str]:
    hide = root.hide_completed_after_seconds
    facts = {
        "url": without_query(root.url),
        "scan interval": format_duration(root.scan_interval_seconds),
        "scan timeout": format_duration(root.scan_timeout_seconds),
        "completed scan interval": format_duration(root.completed_scan_interval_seconds),
        "verify interval": format_duration(root.verify_interval_seconds),
        "stale after": format_duration(root.stale_after_seconds),
        "max depth": root.max_depth,
        "max jobs with series": root.max_per_root,
        "hide completed after": "never" if hide is None else format_duration(hide),
        "stalled after": _describe_stall_rule(root.stall),
        "prefix": root.prefix,
        "include": ", ".join(root.include),
        "exclude": ", ".join(root.exclude),
        **root.storage_options.masked(),
    }
    return [f"root {root.name}", *(f"  {k}: {v}" for k, v in facts.items() if v != "")]


def _describe_stall_rule(rule: StallRule) -> str:
    return (
        f"{rule.gap_factor:g} times the longest wait, at least "
        f"{format_duration(rule.after_seconds)}; {format_duration(rule.long_after_seconds)}"
        " in any case"
    )


def reach(config: Config, say: Callable[[str], object]) -> bool:
    """Scan every root once and `say` what is there; whether all could be read."""
    snapshot = Scheduler(config.roots, Latest(), Workers(config.scan_workers)).run_once()
    for root in snapshot.roots:
        say(_reached(root))
    return all(root.up for root in snapshot.roots)


def _reached(root: Root) -> str:
    if root.totals is None:
        return f"root {root.name} cannot be read: {root.error}"
    found = root.totals
    return (
        f"root {root.name} was read: {found.jobs} jobs ({found.jobs_unreadable} unreadable), "
        f"{found.tasks_completed} of {found.tasks} tasks completed"
    )
