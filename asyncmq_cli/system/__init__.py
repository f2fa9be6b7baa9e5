"""The operating system: signals, streams, files, processes, HTTP, and shortages of resources."""
