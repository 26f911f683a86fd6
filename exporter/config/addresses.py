"""Addresses in a configuration: the URLs of roots, and where to listen. Pure; no I/O."""

import os
import re
from urllib.parse import urlsplit

_NEED_A_HOST = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "webhdfs", "sftp", "ssh", "ftp"}
    | {"http", "https"}
)
_SCHEMES = _NEED_A_HOST | {"file", "hdfs", "viewfs", "memory"}
"""Schemes that a mistyped URL is compared with; any other may be used, too."""


def scheme_of(url: str) -> str:
    """The scheme of a root's URL; ``file`` for a bare path."""
    scheme, separator, _ = url.partition("://")
    return scheme if separator else "file"


def absolute_url(url: str, folder: str | os.PathLike[str]) -> str:
    """The one spelling of a root's URL; local paths are relative to `folder`."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return os.path.normpath(os.path.join(folder, url))
    if scheme == "file":
        return f"file://{os.path.normpath('/' + rest.lstrip('/'))}"
    return url.rstrip("/")


def without_query(url: str) -> str:
    """The URL without its query and fragment, which may hold a secret; raises ValueError
    when it cannot be a URL."""
    if "://" not in url:
        return url
    try:
        return urlsplit(url)._replace(query="", fragment="").geturl()
    except ValueError:
        raise ValueError("not a valid URL") from None


def check_url(url: str) -> str:
    """The path or URL of a root, unchanged; raises ValueError when its form is not that of
    one. The storage behind it is not looked at."""
    if "::" in url and not re.match("s3a?://arn:", url):  # an ARN may have empty parts
        raise ValueError("chained URLs are not supported")
    scheme, separator, rest = url.partition("://")
    beginning = meant_beginning(url)
    if not separator:
        if beginning is not None:
            raise ValueError(f"a URL begins with {beginning}; a folder of this name is written ./…")
        return url
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        meant = "" if beginning is None else f"; did you mean {beginning}?"
        raise ValueError(f"the scheme before :// is not valid{meant}")
    if not rest.strip("/") and scheme != "file":
        raise ValueError("nothing follows the scheme")
    if rest.startswith("/") and scheme in _NEED_A_HOST:
        raise ValueError(f"one slash too many; {scheme}:// is followed by a name")
    if has_login(rest):
        raise ValueError("credentials do not belong into a URL; use storage_options")
    without_query(url)
    return url


def has_login(rest: str) -> bool:
    """Whether the `rest` of a URL, after ://, begins with a name or a password before an @. A
    password may hold a slash: about half of all secret keys of S3 do."""
    first, _, more = rest.partition("/")
    _, colon, after = first.partition(":")
    is_port_or_name = after.isdigit() or first.startswith(("arn:", "["))
    return "@" in first or bool(colon and "@" in more and not is_port_or_name)


def meant_beginning(text: str) -> str | None:
    """How a text would begin if it were a URL that is mistyped at its beginning, such as
    ``s3//bucket``, ``s3:/bucket`` or ``S3://bucket``; None if it looks like none."""
    match = re.match(r"\s*([A-Za-z][A-Za-z0-9]*)(?::|//)", text)
    scheme = match[1].lower() if match else ""
    if scheme not in _SCHEMES:
        return None
    return "file:///" if scheme == "file" else f"{scheme}://"


def check_external_url(url: str) -> str:
    """Where people reach the pages, without a slash at its end; raises ValueError when it is no
    http or https URL that something can be put after."""
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise ValueError("expected http://HOST/PATH or https://HOST/PATH")
    if "@" in parts.netloc:
        raise ValueError("credentials do not belong into a URL that alerts show")
    if "?" in url or "#" in url or not url.isprintable() or " " in url:
        raise ValueError("must have no query, no fragment and no spaces: links are put after it")
    return url.rstrip("/")


def check_listen_address(address: str) -> str:
    """The address, unchanged; raises ValueError as `split_listen_address` does."""
    split_listen_address(address)
    return address


def split_listen_address(address: str) -> tuple[str | None, int]:
    """Host and port of ``host:port``, ``:port`` or ``[ipv6]:port``; raises ValueError. The
    host is None for every address of both families: nothing, or ``[::]``, as in Go."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\[\]]*)):([0-9]{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise ValueError("expected HOST:PORT or :PORT")
    host: str = match[1] or match[2]
    return host if host.strip("0:") else None, int(match[3])
