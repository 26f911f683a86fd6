"""A real Slurm: its cluster, what runs on it, and what it left."""
