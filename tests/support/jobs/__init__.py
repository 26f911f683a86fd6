"""Folders of jobs: written for a test, launched by real datatrove, or unpacked."""
