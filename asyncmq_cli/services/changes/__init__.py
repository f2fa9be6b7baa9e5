"""Changes of jobs, one or many at a time."""
