"""What can be configured, and how a file becomes a Config."""
