"""The use cases, one method each. They return values, never text."""
