"""Reading queues, jobs, workers and definitions."""
