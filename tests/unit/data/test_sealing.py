"""Sealed columns: opened in their own row only, found by word; the right key file, or one clear sentence."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import FieldError
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from relational import NOW, People, Street
from wattkeeper.actions.keys.abandon_keys import abandon_keys
from wattkeeper.actions.keys.ready_keys import check_keys, make_key_file, ready_keys
from wattkeeper.actions.keys.rotate_keys import exchange_master, go_on, rotate_keys
from wattkeeper.actions.registry.edit_usage_point import edit_usage_point
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.collection.keys import open_keys
from wattkeeper.data.registry.models import Site, UsagePoint
from wattkeeper.data.registry.queries import list_usage_points
from wattkeeper.data.sealing import vault
from wattkeeper.data.sealing.master import before, make_master, next_to, read_master
from wattkeeper.data.sealing.models import SealedWord, TenantKey
from wattkeeper.data.sealing.sweep import find_plain, sweep
from wattkeeper.data.sealing.words import wanted_words, words_of

CANARY = "Zebedee Quillfeather"


@pytest.fixture(autouse=True)
def own_key_file(tmp_path: Path, settings: Any) -> Path:
    """A key file for each test, and nothing remembered of another's."""
    settings.MASTER_KEY_FILE = tmp_path / "keys" / "master.key"
    vault._opened.cache_clear()
    vault._derived.cache_clear()
    return settings.MASTER_KEY_FILE


def forget_opened() -> None:
    """Be another process, which has opened nothing yet."""
    vault._opened.cache_clear()
    vault._derived.cache_clear()


def name(street: Street, people: People, text: str = CANARY) -> UsagePoint:
    """Give our first usage point a customer."""
    edit_usage_point(
        actor=people.operator,
        now=NOW,
        usage_point_id=street.point_id,
        customer_name=text,
        name=f"Flat of {text}",
    )
    return UsagePoint.objects.get(id=street.point_id)


def raw(table: str, columns: str, row_id: int) -> tuple[Any, ...]:
    """Return what the database itself holds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table} WHERE id = %s", [row_id])
        found: tuple[Any, ...] = cursor.fetchone()
    return found


def put(table: str, column: str, row_id: int, value: object) -> None:
    """Write past everything of ours."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [value, row_id])


def found(people: People, search: str) -> list[str]:
    return [row.code for row in list_usage_points(tenant_id=people.tenant.id, now=NOW, search=search).items]


def code_of(work: Any) -> str:
    with pytest.raises(WattkeeperError) as refusal:
        work()
    return refusal.value.code


def test_what_python_reads_the_database_does_not_hold(ours: People, street: Street) -> None:
    point = name(street, ours)
    assert (point.customer_name, point.name) == (CANARY, f"Flat of {CANARY}")
    columns = "name, customer_name, name_sealed, customer_name_sealed"
    plain_name, plain_customer, *sealed = raw("registry_usagepoint", columns, point.id)
    assert (plain_name, plain_customer) == ("", "")
    assert all(CANARY.encode() not in bytes(value) for value in sealed)
    assert bytes(sealed[0]) != bytes(sealed[1])
    assert str(UsagePoint.objects.values_list("customer_name", flat=True).get(id=point.id)) == "[sealed]"


def test_the_audit_says_that_it_changed_and_not_what_it_is(ours: People, street: Street) -> None:
    name(street, ours)
    details = [record.detail for record in AuditRecord.objects.order_by("id")]
    assert CANARY not in str(details)
    assert details[-1]["customer_name"] == ["", "sealed"]
    edit_usage_point(actor=ours.operator, now=NOW, usage_point_id=street.point_id, customer_name=CANARY)
    newest = AuditRecord.objects.order_by("-id").first()
    assert newest is not None
    assert newest.detail == {}


@pytest.mark.parametrize("fault", ["row", "column", "tenant", "bit", "plain"])
def test_a_value_in_another_place_does_not_open(
    ours: People, theirs: People, street: Street, make_street: Any, fault: str
) -> None:
    point = name(street, ours)
    (sealed,) = raw("registry_usagepoint", "customer_name_sealed", point.id)
    sealed, target, column = bytes(sealed), point.id, "customer_name"
    if fault == "row":
        target = street.other_point_id
    elif fault == "column":
        column = "name"
    elif fault == "tenant":
        target = make_street(theirs).point_id
    elif fault == "bit":
        sealed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    else:
        sealed = CANARY.encode()
    put("registry_usagepoint", f"{column}_sealed", target, sealed)
    other = UsagePoint.objects.get(id=target)
    assert code_of(lambda: getattr(other, column)) == "keys.sealed-damaged"


@pytest.mark.parametrize(
    ("search", "is_found"),
    [
        (CANARY, True),
        ("quillfeather zebedee", True),
        ("quill", True),
        ("QUILLFEATHER", True),
        ("ｑｕｉｌｌ", True),
        ("feather", False),
        ("qu", False),
        ("zebedee smith", False),
        ("U1", True),
        ("-", False),
    ],
)
def test_names_are_found_by_word_and_by_its_beginning(
    ours: People, street: Street, search: str, *, is_found: bool
) -> None:
    name(street, ours)
    assert found(ours, search) == (["U1"] if is_found else [])


@pytest.mark.parametrize(
    ("search", "is_found"), [("王丽华", True), ("丽华", True), ("王", False), ("华王", False)]
)
def test_chinese_names_are_found_by_two_characters(
    ours: People, street: Street, search: str, *, is_found: bool
) -> None:
    name(street, ours, "王丽华")
    assert found(ours, search) == (["U1"] if is_found else [])


def test_a_name_is_forgotten_with_its_change_and_with_its_row(ours: People, street: Street) -> None:
    name(street, ours)
    name(street, ours, "Somebody Else")
    assert (found(ours, "zebedee"), found(ours, "somebody")) == ([], ["U1"])
    words_count = SealedWord.objects.filter(row_id=street.point_id).count()
    assert words_count > 0
    UsagePoint.objects.get(id=street.point_id).delete()
    assert not SealedWord.objects.filter(row_id=street.point_id).exists()


def test_words_say_nothing_without_the_key_and_differ_between_tenants(
    ours: People, theirs: People, street: Street, make_street: Any
) -> None:
    name(street, ours)
    name(make_street(theirs), theirs)
    kept = {tenant_id: set() for tenant_id in (ours.tenant.id, theirs.tenant.id)}
    for word in SealedWord.objects.all():
        kept[word.tenant_id].add(word.word)
    assert not kept[ours.tenant.id] & kept[theirs.tenant.id]
    bare = {hashlib.sha256(word.encode()).hexdigest()[:16] for word in words_of(CANARY)}
    assert not bare & kept[ours.tenant.id]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_text_is_found_by_each_of_its_words(left: str, right: str) -> None:
    text = f"{left} {right}"
    assert wanted_words(text) <= words_of(text)
    assert wanted_words(left) <= words_of(text)


def test_the_database_neither_compares_nor_sorts_what_is_sealed(ours: People, street: Street) -> None:
    with pytest.raises(FieldError):
        UsagePoint.objects.filter(customer_name="x").count()
    with pytest.raises(FieldError):
        UsagePoint.objects.filter(customer_name__icontains="x").count()
    with pytest.raises(TypeError):
        UsagePoint.objects.filter(id=street.point_id).update(customer_name="x")
    with pytest.raises(TypeError):
        Site.objects.bulk_create([Site(tenant=ours.tenant, code="B", name="B", address="here")])


def leave_plain(street: Street) -> None:
    """Be the release before: write plain columns, and know no sealed ones."""
    put("registry_usagepoint", "customer_name", street.point_id, CANARY)
    put("registry_usagepoint", "name", street.point_id, "Flat 9")
    put("registry_usagepoint", "name_sealed", street.point_id, None)


def test_plain_texts_are_read_and_then_sealed(ours: People, street: Street) -> None:
    leave_plain(street)
    point = UsagePoint.objects.get(id=street.point_id)
    assert (point.name, point.customer_name) == ("Flat 9", CANARY)
    assert set(find_plain()) == {"registry.usagepoint.name", "registry.usagepoint.customer_name"}
    ready_keys()
    assert find_plain() == []
    assert raw("registry_usagepoint", "name, customer_name", street.point_id) == ("", "")
    assert UsagePoint.objects.get(id=street.point_id).customer_name == CANARY
    assert found(ours, "zebedee") == ["U1"]
    assert sweep().changed_count == 0


def test_a_sweep_that_is_cut_off_goes_on(
    ours: People, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wattkeeper.data.sealing.sweep.BATCH_COUNT", 1)
    for point_id in (street.point_id, street.other_point_id):
        put("registry_usagepoint", "customer_name", point_id, f"{CANARY} {point_id}")

    def cut(_done_count: int) -> None:
        if UsagePoint.objects.exclude(plain_customer_name="").count() == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(cut)
    assert find_plain() == ["registry.usagepoint.customer_name"]
    assert sweep().sealed_count == 1
    names = {point.id: point.customer_name for point in UsagePoint.objects.all()}
    assert names == {key: f"{CANARY} {key}" for key in (street.point_id, street.other_point_id)}


def test_new_keys_seal_everything_anew(ours: People, street: Street, services: Services) -> None:
    name(street, ours)
    old_key_id, before_rotation = (
        vault.current_key_id(ours.tenant.id),
        raw("registry_usagepoint", "customer_name_sealed", street.point_id),
    )
    done = rotate_keys(actor=ours.administrator, now=NOW, services=services)
    assert (done.keys_count, done.destroyed_count) == (1, 0)
    forget_opened()
    point = UsagePoint.objects.get(id=street.point_id)
    assert point.customer_name == CANARY
    (after,) = raw("registry_usagepoint", "customer_name_sealed", street.point_id)
    assert bytes(after) != bytes(before_rotation[0])
    assert vault.key_id_of(bytes(after)) == vault.current_key_id(ours.tenant.id) != old_key_id
    assert found(ours, "quill") == ["U1"]
    assert open_keys(services.data_folder, [street.meter_id])
    assert AuditRecord.objects.filter(verb="keys.rotate").count() == 1
    later = NOW + timedelta(days=2)
    assert go_on(actor=ours.administrator, now=later, services=services) == (0, 1)
    assert not TenantKey.objects.filter(id=old_key_id).exists()
    forget_opened()
    assert UsagePoint.objects.get(id=street.point_id).customer_name == CANARY


def test_who_is_no_administrator_rotates_nothing(ours: People, services: Services) -> None:
    assert (
        code_of(lambda: rotate_keys(actor=ours.operator, now=NOW, services=services))
        == "accounts.not-allowed"
    )
    refused = code_of(
        lambda: rotate_keys(actor=ours.operator, now=NOW, services=services, has_new_master=True)
    )
    assert refused == "accounts.not-allowed"


def test_a_new_master_key_opens_and_the_old_one_does_not(
    ours: People, street: Street, own_key_file: Path
) -> None:
    name(street, ours)
    old = own_key_file.read_bytes()
    exchange_master(own_key_file)
    forget_opened()
    assert own_key_file.read_bytes() != old
    assert own_key_file.stat().st_mode & 0o777 == 0o400
    assert [path.name for path in own_key_file.parent.iterdir()] == ["master.key"]
    assert UsagePoint.objects.get(id=street.point_id).customer_name == CANARY
    own_key_file.unlink()
    own_key_file.write_bytes(old)
    own_key_file.chmod(0o400)
    forget_opened()
    assert code_of(check_keys) == "keys.file-wrong"


@pytest.mark.parametrize("step", ["made", "wrapped", "linked", "replaced"])
def test_an_exchange_cut_off_anywhere_opens_and_is_ended_by_the_next(
    ours: People, street: Street, own_key_file: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name(street, ours)
    places = {
        "made": "wattkeeper.actions.keys.rotate_keys._rewrap",
        "wrapped": "wattkeeper.actions.keys.rotate_keys.os.link",
        "linked": "pathlib.Path.replace",
        "replaced": "wattkeeper.actions.keys.rotate_keys.sync_folder",
    }

    def cut(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(places[step], cut)
        with pytest.raises(KeyboardInterrupt):
            exchange_master(own_key_file)
    forget_opened()
    assert check_keys() == 1
    assert UsagePoint.objects.get(id=street.point_id).customer_name == CANARY
    exchange_master(own_key_file)
    forget_opened()
    assert not next_to(own_key_file).exists()
    assert not before(own_key_file).exists()
    assert UsagePoint.objects.get(id=street.point_id).customer_name == CANARY
    assert TenantKey.objects.get().master_key_id == read_master(own_key_file).key_id


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("missing", "keys.file-missing"),
        ("other", "keys.file-wrong"),
        ("open", "keys.file-open"),
        ("short", "keys.file-damaged"),
    ],
)
def test_without_the_right_key_file_nothing_starts_and_no_other_is_made(
    ours: People, street: Street, own_key_file: Path, fault: str, code: str
) -> None:
    name(street, ours)
    forget_opened()
    if fault == "open":
        own_key_file.chmod(0o444)
    else:
        own_key_file.unlink()
    if fault == "other":
        make_master(own_key_file)
    elif fault == "short":
        own_key_file.write_bytes(b"short")
        own_key_file.chmod(0o400)
    assert code_of(ready_keys) == code
    assert code_of(lambda: UsagePoint.objects.get(id=street.point_id).customer_name) == code
    assert own_key_file.exists() == (fault != "missing")


def test_the_first_start_makes_a_key_file_of_its_own(own_key_file: Path, db: None) -> None:
    assert make_key_file()
    assert own_key_file.stat().st_mode & 0o777 == 0o400
    assert len(own_key_file.read_bytes()) == 32
    assert not make_key_file()


def test_a_lost_key_is_given_up_and_only_a_lost_one(ours: People, street: Street, own_key_file: Path) -> None:
    name(street, ours)
    assert code_of(lambda: abandon_keys(actor=ours.administrator, now=NOW)) == "keys.openable"
    own_key_file.unlink()
    forget_opened()
    assert abandon_keys(actor=ours.administrator, now=NOW) > 2
    assert ready_keys() == own_key_file
    point = UsagePoint.objects.get(id=street.point_id)
    assert (point.name, point.customer_name, found(ours, "zebedee")) == ("", "", [])
    assert name(street, ours).customer_name == CANARY
