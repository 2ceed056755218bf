"""Long work that a worker does in the background and that survives its death."""
