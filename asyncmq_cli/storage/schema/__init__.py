"""AsyncMQ's data layout: key names, JSON, and the job that they make."""
