"""Results of monitoring: probes, snapshots, task counts and waits."""
