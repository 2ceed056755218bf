"""Periods that do not overlap; meters with reads that nobody deletes."""

from django.db import migrations

from wattkeeper.data.rules import NoOverlap, Refusal, enforce

RULES = [
    NoOverlap("installation_meter_no_overlap", "registry_installation", "meter_id"),
    NoOverlap("installation_usage_point_no_overlap", "registry_installation", "usage_point_id"),
    NoOverlap("multiplier_no_overlap", "registry_multiplier", "usage_point_id"),
    NoOverlap("topology_no_overlap", "registry_topology", "child_id"),
    Refusal(
        "meter_with_reads_undeletable",
        "registry_meter",
        "DELETE",
        "EXISTS (SELECT 1 FROM registry_channel c WHERE c.meter_id = OLD.id AND c.has_reads)",
    ),
    Refusal("channel_with_reads_undeletable", "registry_channel", "DELETE", "OLD.has_reads"),
    Refusal(
        "channel_reads_unforgotten",
        "registry_channel",
        "UPDATE",
        "OLD.has_reads AND (NOT NEW.has_reads OR {differs:meter_id} OR {differs:step_numerator}"
        " OR {differs:step_denominator} OR {differs:reading_type})",
    ),
]


class Migration(migrations.Migration):

    dependencies = [("registry", "0001_tables")]
    operations = [enforce(RULES)]
