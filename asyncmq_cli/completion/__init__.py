"""Completion: the answers to the shells' TAB, and the scripts that ask for them."""
