"""The first page and its tabs, and the jobs of one cause."""
