"""Command states and the authority to send one."""
