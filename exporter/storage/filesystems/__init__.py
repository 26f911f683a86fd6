"""Every other storage that fsspec knows, through its filesystems."""
