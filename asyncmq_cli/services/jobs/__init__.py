"""Find and list jobs, and explain why they failed."""
