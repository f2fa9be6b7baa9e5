"""The base classes of pages."""
