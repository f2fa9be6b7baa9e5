"""What the operating system does to a process: signals, streams, shortages, files."""
