"""Values to tables, tab-separated text and JSON, with secrets redacted. Nothing here knows Redis."""
