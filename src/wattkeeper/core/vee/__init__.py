"""Validation, estimation, editing: findings with evidence, estimates beside raw values."""
