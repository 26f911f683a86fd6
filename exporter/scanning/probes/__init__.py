"""Asks storage for what a look at a job does not tell."""
