"""Changing jobs, one or many at a time."""
