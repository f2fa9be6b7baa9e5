"""Write values as text for people: jobs, checks, events, reports, times."""
