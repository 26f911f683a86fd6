"""Tools that tests share: builders of jobs, real servers, processes, a browser."""
