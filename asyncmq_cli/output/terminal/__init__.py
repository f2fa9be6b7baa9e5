"""Screens that are refreshed in place, charts and progress bars."""
