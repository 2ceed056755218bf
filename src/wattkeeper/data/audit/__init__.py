"""Who did what, when, and with what result: append only, chained."""
