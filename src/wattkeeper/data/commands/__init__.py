"""Commands to devices and every step they took."""
