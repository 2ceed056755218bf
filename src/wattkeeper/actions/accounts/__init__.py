"""People, their passwords and the keys of their programs."""
