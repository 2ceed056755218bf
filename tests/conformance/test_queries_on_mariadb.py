"""Queries and verbs do the same on MariaDB."""

from pathlib import Path

import pytest

from conformance.mariadb import mariadb_server
from conformance.queries_and_verbs import check_queries_and_verbs

pytestmark = pytest.mark.first


@pytest.mark.timeout(3600)
def test_queries_and_verbs_do_the_same(tmp_path: Path) -> None:
    with mariadb_server() as url:
        check_queries_and_verbs(url, tmp_path, "--share", "0")


@pytest.mark.soak
def test_all_queries_and_verbs_do_the_same(tmp_path: Path) -> None:
    with mariadb_server() as url:
        check_queries_and_verbs(url, tmp_path, marked="not soak")
