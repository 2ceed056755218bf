"""Files on their way in: sealed from the first byte, opened by their own tenant, gone after a day."""

import os
from pathlib import Path

import pytest

from relational import NOW, People, Street
from wattkeeper.actions.actor import Actor
from wattkeeper.actions.collection.drafts import (
    KEPT_S,
    drop_draft,
    drop_old_drafts,
    hold_draft,
    open_draft,
)
from wattkeeper.actions.collection.uploads import FOLDER, keep_upload, keys_of_uploads, read_upload
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.sealing.vault import current_key_id

CONTENT = b"Zebedee Quillfeather,1.25\n" * 100


def hold(actor: Actor, services: Services, **fields: int) -> str:
    parts = [CONTENT[:1000], CONTENT[1000:]]
    return hold_draft(actor=actor, now=NOW, services=services, content=parts, label="a.csv", **fields)


def code_of(work: object) -> str:
    with pytest.raises(WattkeeperError) as refusal:
        work()  # type: ignore[operator]
    return refusal.value.code


def files(services: Services) -> list[Path]:
    return sorted((services.data_folder / FOLDER).iterdir())


def test_a_draft_is_what_was_sent_and_nobody_reads_it_on_disk(
    ours: People, street: Street, services: Services
) -> None:
    draft_id = hold(ours.operator, services, site_id=street.site_id)
    draft = open_draft(actor=ours.operator, services=services, draft_id=draft_id)
    assert (draft.content, draft.label, draft.site_id) == (CONTENT, "a.csv", street.site_id)
    (path,) = files(services)
    assert b"Zebedee" not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    drop_draft(actor=ours.operator, services=services, draft_id=draft_id)
    assert files(services) == []
    assert (
        code_of(lambda: open_draft(actor=ours.operator, services=services, draft_id=draft_id))
        == "imports.draft-gone"
    )


def test_nobody_else_opens_it(ours: People, theirs: People, street: Street, services: Services) -> None:
    draft_id = hold(ours.operator, services)
    for actor, name, code in (
        (theirs.operator, draft_id, "imports.draft-gone"),
        (ours.viewer, draft_id, "accounts.not-allowed"),
        (ours.operator, "../master.key", "imports.draft-gone"),
        (ours.operator, draft_id.upper(), "imports.draft-gone"),
    ):
        assert code_of(lambda a=actor, n=name: open_draft(actor=a, services=services, draft_id=n)) == code
    assert code_of(lambda: hold(ours.viewer, services)) == "accounts.not-allowed"
    assert code_of(lambda: hold(theirs.operator, services, site_id=street.site_id)) == "registry.not-found"


def test_a_file_under_another_name_or_changed_does_not_open(ours: People, services: Services) -> None:
    path = keep_upload(services.data_folder, "one", [CONTENT], tenant_id=ours.tenant.id)
    path.with_name("two").write_bytes(path.read_bytes())
    assert code_of(lambda: read_upload(services.data_folder, "two", label="x")) == "operations.sealed-wrong"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert code_of(lambda: read_upload(services.data_folder, "one", label="x")) == "operations.sealed-wrong"
    assert keys_of_uploads(services.data_folder) == {current_key_id(ours.tenant.id)}


def test_a_file_of_the_release_before_is_read_as_it_is(services: Services) -> None:
    folder = services.data_folder / FOLDER
    folder.mkdir()
    (folder / "old").write_bytes(CONTENT)
    assert read_upload(services.data_folder, "old", label="x") == CONTENT


def test_drafts_are_gone_after_a_day(ours: People, services: Services) -> None:
    hold(ours.operator, services)
    (path,) = files(services)
    now_s = NOW.timestamp()
    os.utime(path, (now_s, now_s - KEPT_S))
    assert drop_old_drafts(services.data_folder, now=NOW) == 0
    os.utime(path, (now_s, now_s - KEPT_S - 1))
    hold(ours.operator, services)
    assert path not in files(services)
    assert len(files(services)) == 1
