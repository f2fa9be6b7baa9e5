"""Backups of removed jobs, and their restoration."""
