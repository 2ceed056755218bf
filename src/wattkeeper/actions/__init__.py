"""The verbs: one module per use-case = one transaction + one audit row."""
