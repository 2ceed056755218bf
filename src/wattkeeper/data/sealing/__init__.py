"""What is sealed at rest: the master key, a key per tenant, sealed columns, words to search them by."""
