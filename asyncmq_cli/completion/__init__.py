"""Completion: the candidates that TAB offers in a shell, and the shells' scripts that request them."""
