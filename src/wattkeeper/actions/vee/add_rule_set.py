"""Add a rule set. It never changes afterwards: another rule becomes another set under another code."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.audit import Entry, audited
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.vee.rule_set_json import dump_rule_set, parse_rule_set
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.vee.models import StoredRuleSet

CODE_MAX = 40


@audited("vee.add-rule-set", role=Role.ADMINISTRATOR)
def add_rule_set(entry: Entry, *, actor: Actor, now: datetime, document: Mapping[str, Any]) -> int:
    """
    Store a rule set under its own code and return its id.

    :raises WattkeeperError: ``vee.rule-set-*`` with the place of the first fault, ``registry.taken``
    """
    rule_set = parse_rule_set(document)
    if len(rule_set.code) > CODE_MAX:
        raise WattkeeperError(
            "vee.rule-set-value", place="code", wanted=f"1 to {CODE_MAX} characters", value=rule_set.code
        )
    if StoredRuleSet.objects.filter(tenant_id=actor.tenant_id, code=rule_set.code).exists():
        raise WattkeeperError("registry.taken", kind="rule-set", field="code", value=rule_set.code)
    stored = StoredRuleSet.objects.create(
        tenant_id=actor.tenant_id,
        code=rule_set.code,
        document=dump_rule_set(rule_set),
        recorded_at=now,
        made_by=str(actor),
    )
    entry.subject = f"rule-set:{stored.id}"
    entry.detail = {"code": stored.code, "document": stored.document}
    return stored.id
