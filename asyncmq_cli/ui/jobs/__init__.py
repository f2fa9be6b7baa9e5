"""Lists of jobs, and one job."""
