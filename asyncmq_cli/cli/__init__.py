"""The code that all commands share: options, session, help, filters, confirmation, lists, `--watch`."""
