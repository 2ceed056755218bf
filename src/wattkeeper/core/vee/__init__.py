"""Validate, estimate: findings with evidence, and new values beside what was measured."""
