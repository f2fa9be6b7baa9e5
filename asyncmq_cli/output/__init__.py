"""Values to tables, tab-separated text and JSON. Nothing here knows Redis."""
