"""Convert values to tables, tab-separated text and JSON, with secrets redacted. Nothing here depends on
Redis."""
