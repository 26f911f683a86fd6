"""What tests share: job folders, real servers, processes, a browser."""
