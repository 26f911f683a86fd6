"""What datatrove writes into a job folder. Pure: no I/O."""
