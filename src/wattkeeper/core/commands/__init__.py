"""Command states (states.py), what a read-back proves (read_back.py), authority to send (authorize.py)."""
