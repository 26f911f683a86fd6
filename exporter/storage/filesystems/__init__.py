"""Every other storage that fsspec knows."""
