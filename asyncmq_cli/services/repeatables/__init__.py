"""Repeatable definitions and their schedules."""
