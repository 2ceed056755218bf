"""Sites, usage points, links and meters: add, edit, copy, retire; install, exchange, multiply, connect."""
