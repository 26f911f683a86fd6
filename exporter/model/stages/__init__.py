"""Jobs as one pipeline: sums over stages, tables and grids of them, and when all is done."""
