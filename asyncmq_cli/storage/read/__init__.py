"""Read queues, jobs, workers and repeatable definitions."""
