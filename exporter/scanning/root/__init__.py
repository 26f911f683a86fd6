"""One root over time: its scans, what they left, its health, and its part of the snapshot."""
