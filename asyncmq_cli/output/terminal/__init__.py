"""Screens that are drawn again."""
