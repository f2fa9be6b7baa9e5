"""The connection to Redis: URL, TLS, bounds, pipelining, reply checks, and errors."""
