"""Find, filter and list jobs and the queues that they are in, and explain why jobs failed."""
