"""Jobs as one pipeline: their stages and items, sums over stages, and which job waits for which."""
