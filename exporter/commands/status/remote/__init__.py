"""A running exporter in place of folders: its API is asked, and nothing is decided anew."""
