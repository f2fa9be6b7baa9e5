"""AsyncMQ's data layout: key names, JSON encoding, and how they make a job."""
