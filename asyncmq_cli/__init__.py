"""The command line for AsyncMQ, a Python job queue on Redis."""

__version__ = "0.1.0"
