"""Lists of jobs, and the pages of one job."""
