"""People: created, changed, logged in slowly by those who guess; keys shown once."""

from datetime import timedelta

import pytest

from relational import NOW, PASSWORD, People
from wattkeeper.actions.accounts.change_password import change_password
from wattkeeper.actions.accounts.create_api_key import create_api_key
from wattkeeper.actions.accounts.create_user import create_user
from wattkeeper.actions.accounts.edit_user import edit_user
from wattkeeper.actions.accounts.first_administrator import first_administrator
from wattkeeper.actions.accounts.log_in import log_in
from wattkeeper.actions.accounts.revoke_api_key import revoke_api_key
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import ApiKey, Role, User
from wattkeeper.data.accounts.queries import find_user_of_key
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.models import Tenant


def tries(username: str, password: str, *, address: str = "10.0.0.1", after_s: int = 0) -> str:
    """Try to log in and return the code of the refusal, or ok."""
    try:
        log_in(username=username, password=password, address=address, now=NOW + timedelta(seconds=after_s))
    except WattkeeperError as error:
        return error.code
    return "ok"


@pytest.mark.django_db
def test_the_first_administrator_is_made_once() -> None:
    made = first_administrator(now=NOW)
    assert made is not None
    username, password = made
    assert tries(username, password) == "ok"
    user = User.objects.get()
    assert user.role == Role.ADMINISTRATOR
    assert password not in user.password
    assert first_administrator(now=NOW) is None
    assert Tenant.objects.count() == 1
    assert password not in str(list(AuditRecord.objects.values()))


def test_a_guesser_is_slowed_and_the_owner_comes_back(ours: People) -> None:
    answers = [tries("ours-operator", f"guess {n}") for n in range(6)]
    assert answers == ["accounts.log-in-refused"] * 5 + ["accounts.too-many-tries"]
    assert tries("ours-operator", PASSWORD) == "accounts.too-many-tries"
    assert tries("ours-operator", PASSWORD, after_s=61) == "ok"


def test_an_unknown_name_gets_the_same_answers(ours: People) -> None:
    known = [tries("ours-operator", "x") for _ in range(6)]
    unknown = [tries("nobody", "x", address="10.0.0.2") for _ in range(6)]
    assert known == unknown


def test_an_address_that_tries_many_names_is_slowed(ours: People) -> None:
    answers = [tries(f"name {n}", "x") for n in range(21)]
    assert answers[:20] == ["accounts.log-in-refused"] * 20
    assert answers[20] == "accounts.too-many-tries"
    assert tries("ours-operator", PASSWORD, address="10.0.0.2") == "ok"


def test_success_forgets_the_owners_slips(ours: People) -> None:
    for _ in range(3):
        assert [tries("ours-operator", "slip") for _ in range(4)] == ["accounts.log-in-refused"] * 4
        assert tries("ours-operator", PASSWORD) == "ok"


def test_who_may_not_log_in(ours: People) -> None:
    assert ours.operator.user_id is not None
    edit_user(actor=ours.administrator, now=NOW, user_id=ours.operator.user_id, is_active=False)
    assert tries("ours-operator", PASSWORD) == "accounts.log-in-refused"


def code_of(error: pytest.ExceptionInfo[WattkeeperError]) -> str:
    return error.value.code


def test_only_administrators_make_people(ours: People) -> None:
    with pytest.raises(WattkeeperError) as refusal:
        create_user(actor=ours.operator, now=NOW, username="n", password="p" * 20, role="ADMINISTRATOR")
    assert code_of(refusal) == "accounts.not-allowed"
    for password, role, code in (
        ("short", "VIEWER", "accounts.password-weak"),
        ("a good long one", "KING", "accounts.unknown-role"),
    ):
        with pytest.raises(WattkeeperError) as refusal:
            create_user(actor=ours.administrator, now=NOW, username="n", password=password, role=role)
        assert code_of(refusal) == code
    assert not User.objects.filter(username="n").exists()


def test_one_administrator_stays(ours: People) -> None:
    assert ours.administrator.user_id is not None
    for fields in ({"role": "VIEWER"}, {"is_active": False}):
        with pytest.raises(WattkeeperError) as refusal:
            edit_user(actor=ours.administrator, now=NOW, user_id=ours.administrator.user_id, **fields)  # type: ignore[arg-type]
        assert code_of(refusal) == "accounts.last-administrator"
    assert User.objects.get(id=ours.administrator.user_id).role == Role.ADMINISTRATOR


def test_passwords_are_changed_by_their_owner_or_an_administrator(ours: People, theirs: People) -> None:
    assert ours.viewer.user_id is not None
    assert theirs.viewer.user_id is not None
    attempts = (
        (ours.viewer, ours.viewer.user_id, "wrong", "accounts.current-password-wrong"),
        (ours.operator, ours.viewer.user_id, None, "accounts.not-allowed"),
        (ours.administrator, theirs.viewer.user_id, None, "registry.not-found"),
    )
    for actor, user_id, current, code in attempts:
        with pytest.raises(WattkeeperError) as refusal:
            change_password(
                actor=actor, now=NOW, user_id=user_id, new_password="a new long one", current_password=current
            )
        assert code_of(refusal) == code
    change_password(
        actor=ours.viewer,
        now=NOW,
        user_id=ours.viewer.user_id,
        new_password="a new long one",
        current_password=PASSWORD,
    )
    assert tries("ours-viewer", "a new long one") == "ok"


def test_a_key_is_shown_once_and_revoked_at_once(ours: People) -> None:
    assert ours.viewer.user_id is not None
    token = create_api_key(actor=ours.viewer, now=NOW, user_id=ours.viewer.user_id, name="sync")
    user = find_user_of_key(token)
    assert user is not None
    assert user.id == ours.viewer.user_id
    assert token not in str(list(ApiKey.objects.values())) + str(list(AuditRecord.objects.values()))
    with pytest.raises(WattkeeperError):
        revoke_api_key(actor=ours.operator, now=NOW, api_key_id=ApiKey.objects.get().id)
    revoke_api_key(actor=ours.viewer, now=NOW, api_key_id=ApiKey.objects.get().id)
    assert find_user_of_key(token) is None
    with pytest.raises(WattkeeperError) as refusal:
        create_api_key(actor=ours.operator, now=NOW, user_id=ours.administrator.user_id or 0, name="steal")
    assert code_of(refusal) == "accounts.not-allowed"
