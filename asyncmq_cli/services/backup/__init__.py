"""Backups of removed jobs, and putting them back."""
