"""The RFC 3261 family, sans-I/O: messages, transactions, dialogs, digest, session descriptions, bindings."""
