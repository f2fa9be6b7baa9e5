"""The code that all commands share: options, session, help, filters, confirmation, paging, `--watch`."""
