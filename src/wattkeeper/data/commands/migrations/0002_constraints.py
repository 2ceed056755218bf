"""The steps of a command only grow."""

from django.db import migrations

from wattkeeper.data.rules import enforce, immutable

RULES = immutable("command_step_immutable", "commands_commandstep")


class Migration(migrations.Migration):

    dependencies = [("commands", "0001_tables")]
    operations = [enforce(RULES)]
