"""Prometheus exporter for datatrove job folders. ``docs/architecture.md`` is the map."""


def __getattr__(name: str) -> str:
    """``__version__``, looked up when it is asked for: that takes longer than the rest."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("datatrove-exporter")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
