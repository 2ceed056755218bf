"""Stateless tools on a file: decode, convert, price. No Django, no store."""
