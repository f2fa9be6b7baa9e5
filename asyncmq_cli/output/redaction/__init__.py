"""Find secrets in job data and texts, so that they are not printed."""
