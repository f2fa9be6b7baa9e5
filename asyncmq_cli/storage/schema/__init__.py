"""The keys, texts and values in which AsyncMQ keeps its data."""
