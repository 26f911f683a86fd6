"""What is known of all jobs at one moment, and what it means. Pure: no I/O, no clock."""
