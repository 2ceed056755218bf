"""Collects from devices: links, schedule, backfill, durable spool, dispatch. Speaks through ports."""
