"""Finding, listing and explaining jobs."""
