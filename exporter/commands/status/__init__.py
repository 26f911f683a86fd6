"""The command ``status``: rows of the report, once or again and again."""
