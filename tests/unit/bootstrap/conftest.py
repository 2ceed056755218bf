"""The relational fixtures, for every test of this folder."""

from relational import fast_passwords, make_street, ours, services, store, street, theirs

__all__ = ["fast_passwords", "make_street", "ours", "services", "store", "street", "theirs"]
