"""Counters and fences never go back."""

from django.db import migrations

from wattkeeper.data.rules import Refusal, enforce

RULES = [
    Refusal(
        "invocation_counter_rises",
        "collection_invocationcounter",
        "UPDATE",
        "NEW.next_counter < OLD.next_counter",
    ),
    Refusal("counter_rises", "collection_counter", "UPDATE", "NEW.value < OLD.value"),
]


class Migration(migrations.Migration):

    dependencies = [("collection", "0002_tables")]
    operations = [enforce(RULES)]
