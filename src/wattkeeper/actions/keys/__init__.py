"""The verbs of the keys that seal names, contacts and devices' secrets."""
