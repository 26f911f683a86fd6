"""Where the patterns in ``folders`` have jobs lie, and so where to look. Pure; no I/O.

A path is a sequence of names as they are shown. ``**`` is any number of folders, also none. A
literal part of a pattern need not be looked for among many others: the folder of that name is
there or it is not.
"""

from collections.abc import Iterator, Sequence

from exporter.config.path_pattern import Part, PathPattern, parse

Patterns = Sequence[PathPattern]
Names = Sequence[str]


def parse_folder_pattern(text: str) -> PathPattern:
    """A pattern of folders, which has no labels; ValueError if it is none."""
    pattern = parse(text)
    if pattern.names:
        raise ValueError("names no labels: use * here, and {name} in labels")
    return pattern


def fits(path: Names, patterns: Patterns) -> bool:
    """A job in this folder is wanted."""
    return any(pattern.match(path, least_deep=0) is not None for pattern in patterns)


def leads_to(path: Names, patterns: Patterns) -> bool:
    """A wanted job may be in this folder or below it."""
    return any(pattern.leads_to(path) for pattern in patterns)


def needs_listing(path: Names, patterns: Patterns) -> bool:
    """What is in this folder has to be known to find those below it that may hold jobs."""
    return any(part.names for part in _following(path, patterns))


def literals_below(path: Names, patterns: Patterns) -> list[str]:
    """Names of folders in this one that may hold jobs, whatever else is there."""
    literal = [part.literals[0] for part in _following(path, patterns) if not part.names]
    return list(dict.fromkeys(literal))


def places(path: Names, patterns: Patterns, room: int) -> Iterator[tuple[str, ...]]:
    """The ways from this folder down to those that have to be listed, of `room` names at most: the
    empty one if it is this folder itself, else along literal names."""
    if room <= 0 or fits(path, patterns) or needs_listing(path, patterns):
        yield ()
        return
    for name in literals_below(path, patterns):
        for way in places((*path, name), patterns, room - 1):
            yield (name, *way)


def is_below_wildcard(path: Names, patterns: Patterns) -> bool:
    """No pattern names this folder: wildcards find it, among others'."""
    leading = [pattern for pattern in patterns if pattern.leads_to(path)]
    return not any(_is_literal(pattern, len(path)) for pattern in leading)


def _is_literal(pattern: PathPattern, depth: int) -> bool:
    parts = pattern.parts[:depth]
    return len(parts) == depth and not any(part.names for part in parts)


def _following(path: Names, patterns: Patterns) -> Iterator[Part]:
    for pattern in patterns:
        if pattern.leads_to(path) and (part := pattern.part_at(len(path))) is not None:
            yield part
