"""Values as text: times, secrets, control characters."""
