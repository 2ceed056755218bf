"""The schema version of this release. Raise it with the first migration after a release.

Expand, migrate, contract: a release adds what it needs so that the release before still runs on the result;
what nobody writes any more is taken away one release later. `OLDEST_SERVED` is then raised to the version
that stopped writing it. `tests/tidy/test_migrations.py` holds each migration to that.
"""

SCHEMA_VERSION = 2
OLDEST_SERVED = 1
