"""Tables of text, of jobs and of parts of an estate: in a pipe, and on a terminal."""
