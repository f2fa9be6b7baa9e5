"""What the shells ask when TAB is pressed, and the scripts with which they do."""
