"""Read queues, jobs, workers and repeatable definitions; `repeatables` also changes the latter."""
