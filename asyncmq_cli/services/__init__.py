"""The use cases, one method each. They return data, not text for the screen."""
