"""What is observed of all queues: probes, snapshots, tasks and waits."""
