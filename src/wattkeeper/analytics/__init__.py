"""Arrays in, results out: what the measurements say."""
