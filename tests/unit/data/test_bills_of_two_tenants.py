"""Organisations that know nothing of each other bill what is, by its codes and values, the same."""

import pytest

from console_street import make_home
from relational import NOW, People, make_street_of
from wattkeeper.actions.billing.replace_bill import replace_bill
from wattkeeper.actions.services import Services
from wattkeeper.data.billing.models import Bill

pytestmark = pytest.mark.django_db


def test_two_tenants_issue_and_take_back_the_same(ours: People, theirs: People, services: Services) -> None:
    for people in (ours, theirs):
        home = make_home(people, make_street_of(people, services), services)
        replace_bill(actor=people.administrator, now=NOW, bill_id=home.bill_id, parts=())
    ours_own, theirs_own = (
        Bill.objects.filter(tenant=people.tenant).order_by("id").values_list("state", "document_key")
        for people in (ours, theirs)
    )
    assert [state for state, _ in ours_own] == [Bill.State.REVERSED, Bill.State.REVERSAL]
    assert list(ours_own) == list(theirs_own)
