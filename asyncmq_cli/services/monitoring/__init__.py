"""Overview, metrics, events, checks, waits and workers."""
