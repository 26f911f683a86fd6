"""Looks at the logs of a launch under way: which tasks failed, and why; which are silent."""
