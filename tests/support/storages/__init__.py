"""Kinds of storage for tests: real servers, those that fail as they are told, and mounts."""
