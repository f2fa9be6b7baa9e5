"""Reading queues, jobs, workers and repeatable definitions."""
