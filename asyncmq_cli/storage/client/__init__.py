"""The connection to Redis, and how it is spoken to."""
