"""Rule sets as JSON: written whole, read strictly, every refusal naming its place."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.vee.formula import LENGTH_MAX, Formula, parse_formula
from wattkeeper.core.vee.profile import ClassProfile
from wattkeeper.core.vee.registry import RULE_BY_CODE, Rule, Severity
from wattkeeper.core.vee.rule_set import Estimation, RuleSet, Setting
from wattkeeper.core.vee.rules_periods import STATISTIC_NAMES

NUMBER_MAX = 10**9
CODE_MAX = 64
FORMULAS_MAX_COUNT = 20
DAY_CURVES = ("workday_milliwh", "saturday_milliwh", "sunday_milliwh")
YEAR_CURVE, HOURS = "hours_milliwh", 24


class InvalidRuleSet(WattkeeperError):
    """Raised when a text is no rule set or no schedule."""


def dump_rule_set(rule_set: RuleSet) -> dict[str, Any]:
    """Return a rule set as plain JSON values: only where it differs from the rules' own defaults."""
    own = Estimation()
    estimation = {
        each.name: getattr(rule_set.estimation, each.name)
        for each in fields(Estimation)
        if getattr(rule_set.estimation, each.name) != getattr(own, each.name)
    }
    if (profile := rule_set.estimation.profile) is not None:
        estimation["profile"] = _dump_profile(profile)
    rules = {}
    for code, setting in sorted(rule_set.settings.items()):
        severity = {} if setting.severity is None else {"severity": setting.severity.value}
        rules[code] = {**severity, **setting.parameters}
    texts = [formula.text for formula in rule_set.formulas]
    formulas = {"formulas": texts} if texts else {}
    return {"code": rule_set.code, "rules": rules, "estimation": estimation, **formulas}


def parse_rule_set(value: object) -> RuleSet:
    """Return the rule set of plain JSON values.

    ``{"code": "shops-1", "rules": {"vee.spike": {"severity": "fail", "spike_pct": 300}}, "estimation": {}}``

    ``"estimation": {"profile": {"annual_kwh": 3500, "workday_milliwh": [...], "saturday_milliwh": [...],
    "sunday_milliwh": [...]}}``: a class profile (`ClassProfile`), or ``"hours_milliwh"`` with 8760 values.

    ``"formulas": ["max < 4 * mean"]`` beside them: what has to be true of each day, of `STATISTIC_NAMES`.

    :raises InvalidRuleSet: at the first unknown field, rule or parameter, and the first wrong value
    :raises InvalidProfile: ``vee.profile-*`` if numbers are no profile
    :raises InvalidFormula: ``vee.formula-*`` of the first text that is no formula
    """
    optional = {"rules", "estimation", "formulas"}
    record = _object(value, "rule set", required={"code"}, optional=optional)
    code = _text(record["code"], "code")
    rules = _object(record.get("rules", {}), "rules", optional=set(RULE_BY_CODE), unknown="vee.rule-set-rule")
    settings = {name: _setting(RULE_BY_CODE[name], each) for name, each in rules.items()}
    return RuleSet(
        code, settings, _estimation(record.get("estimation", {})), _formulas(record.get("formulas", []))
    )


def _setting(rule: Rule, value: object) -> Setting:
    record = _object(
        value,
        rule.code,
        optional={"severity", *rule.parameters},
        unknown="vee.rule-set-parameter",
    )
    severity = record.get("severity")
    known = [each.value for each in Severity]
    if severity is not None and severity not in known:
        place = f"{rule.code}.severity"
        raise InvalidRuleSet("vee.rule-set-value", place=place, wanted=" | ".join(known), value=str(severity))
    parameters = {
        name: _number(number, f"{rule.code}.{name}") for name, number in record.items() if name != "severity"
    }
    return Setting(None if severity is None else Severity(severity), parameters)


def _estimation(value: object) -> Estimation:
    own = Estimation()
    record = _object(value, "estimation", optional={each.name for each in fields(Estimation)})
    if record.get("profile") is not None:
        record = {**record, "profile": _profile(record["profile"])}
    for name, each in record.items():
        if name == "profile":
            continue
        if not isinstance(getattr(own, name), bool):
            _number(each, f"estimation.{name}")
        elif not isinstance(each, bool):
            place = f"estimation.{name}"
            raise InvalidRuleSet("vee.rule-set-value", place=place, wanted="true | false", value=str(each))
    return Estimation(**record)


def _profile(value: object) -> ClassProfile:
    place = "estimation.profile"
    record = _object(value, place, required={"annual_kwh"}, optional={*DAY_CURVES, YEAR_CURVE})
    names = (YEAR_CURVE,) if YEAR_CURVE in record else DAY_CURVES
    _object(value, place, required={"annual_kwh", *names})
    annual_kwh = _number(record["annual_kwh"], f"{place}.annual_kwh")
    curves = [_curve(record[name], f"{place}.{name}") for name in names]
    if names == (YEAR_CURVE,):
        curves = [curves[0][first : first + HOURS] for first in range(0, len(curves[0]), HOURS)]
    return ClassProfile(annual_kwh, tuple(curves))


def _curve(value: object, place: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise InvalidRuleSet("vee.rule-set-value", place=place, wanted="a list", value=str(value)[:CODE_MAX])
    return tuple(_number(each, f"{place}[{i}]") for i, each in enumerate(value))


def _dump_profile(profile: ClassProfile) -> dict[str, Any]:
    named = zip(DAY_CURVES, map(list, profile.curves), strict=False)
    hours = [each for curve in profile.curves for each in curve]
    curves = dict(named) if len(profile.curves) == len(DAY_CURVES) else {YEAR_CURVE: hours}
    return {"annual_kwh": profile.annual_kwh, **curves}


def _formulas(value: object) -> tuple[Formula, ...]:
    if not isinstance(value, list) or len(value) > FORMULAS_MAX_COUNT:
        wanted = f"a list of at most {FORMULAS_MAX_COUNT}"
        raise InvalidRuleSet(
            "vee.rule-set-value", place="formulas", wanted=wanted, value=str(value)[:CODE_MAX]
        )
    texts = [_text(each, f"formulas[{i}]", length_max=LENGTH_MAX) for i, each in enumerate(value)]
    return tuple(parse_formula(text, STATISTIC_NAMES) for text in texts)


def _object(
    value: object,
    place: str,
    *,
    required: set[str] | None = None,
    optional: set[str] | None = None,
    unknown: str = "vee.rule-set-field",
) -> Mapping[str, Any]:
    """Return an object that has every required field and no other than the optional ones."""
    if not isinstance(value, dict):
        raise InvalidRuleSet(
            "vee.rule-set-value", place=place, wanted="an object", value=str(value)[:CODE_MAX]
        )
    required, optional = required or set(), optional or set()
    wrong = sorted(required - set(value)) or sorted(set(value) - required - optional)
    if wrong:
        name = str(wrong[0])[:CODE_MAX]
        raise InvalidRuleSet(
            unknown, place=place, field=name, rule=name if unknown.endswith("rule") else place, parameter=name
        )
    return value


def _text(value: object, place: str, *, length_max: int = CODE_MAX) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= length_max:
        wanted = f"a text of 1 to {length_max} characters"
        raise InvalidRuleSet("vee.rule-set-value", place=place, wanted=wanted, value=str(value)[:CODE_MAX])
    return value


def _number(value: object, place: str, *, low: int = 0, high: int = NUMBER_MAX) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        wanted = f"a whole number from {low} to {high}"
        raise InvalidRuleSet("vee.rule-set-value", place=place, wanted=wanted, value=str(value)[:CODE_MAX])
    return value
