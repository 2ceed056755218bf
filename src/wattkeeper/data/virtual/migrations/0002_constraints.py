"""Periods that do not overlap: one formula, one area, one feeder, one customer at a time."""

from django.db import migrations

from wattkeeper.data.rules import NoOverlap, enforce

RULES = [
    NoOverlap("formula_no_overlap", "virtual_formula", "usage_point_id"),
    NoOverlap("area_in_area_no_overlap", "virtual_areainarea", "part_id"),
    NoOverlap("site_in_area_no_overlap", "virtual_siteinarea", "part_id"),
    NoOverlap("point_on_feeder_no_overlap", "virtual_pointonfeeder", "part_id"),
    NoOverlap("point_of_customer_no_overlap", "virtual_pointofcustomer", "part_id"),
]


class Migration(migrations.Migration):

    dependencies = [("virtual", "0001_tables")]
    operations = [enforce(RULES)]
