"""Write values as text for people and for monitors: jobs, checks, events, metrics, reports, times."""
