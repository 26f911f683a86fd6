"""What the names of jobs tell: stages and items, and the patterns of labels that say the same."""
