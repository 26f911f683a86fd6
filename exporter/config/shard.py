"""Which of several exporters reads a job. Pure; no I/O.

Jobs are divided by a hash of their root and name, so every exporter decides for itself,
and decides the same on any machine and in any version: no Python hash, no order of a
listing. A job that moves to another folder may move to another exporter.
"""

import re
from dataclasses import dataclass

_LIMIT = 1000  # every shard lists every folder, so many more would only list


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` exporters that share the jobs; `index` counts from 0."""

    index: int = 0
    count: int = 1

    def owns(self, root: str, job_name: str) -> bool:
        """Whether this exporter reads the job of that root."""
        if self.count == 1:
            return True
        from hashlib import blake2b  # takes OpenSSL with it, which few need

        # NUL is in no name, so no two pairs are one text.
        key = f"{root}\0{job_name}".encode("utf-8", "surrogateescape")
        number = int.from_bytes(blake2b(key, digest_size=8).digest(), "big")
        return number % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()
"""The one exporter that reads every job."""


def parse_shard(text: str) -> Shard:
    """The shard that ``I/N`` means; raises ValueError.

    I may be the name of a StatefulSet's pod, which ends in ``-`` and its ordinal.
    """
    match = re.fullmatch(r"(?:[^/\s]*-)?([0-9]{1,4})/([0-9]{1,4})", text)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not index < count <= _LIMIT:
        raise ValueError(
            "expected I/N: shard I of N, from 0 to N-1, where I may be a name that ends in its "
            f"number, such as exporter-2/3; N is at most {_LIMIT}, and the same for every shard"
        )
    return Shard(index, count)
