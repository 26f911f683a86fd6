"""Jobs and their readings in memory, and what is made of them."""
