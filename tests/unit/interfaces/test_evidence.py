"""What findings saw is told in words: every key that the source can give, every rule, in both languages."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from codes import params_raised
from evidence import keys_in, keys_of_source, rules_in, rules_of_source, subjects_of_source, verbs_of_source
from wattkeeper.bootstrap.headend_reports import FAULTS
from wattkeeper.interfaces.evidence import CODES, name_of, tell_actor, tell_evidence, tell_subject
from wattkeeper.interfaces.messages import LANGUAGES, places_of, template_of, word
from wattkeeper.interfaces.web.console.texts import RULES

PLANTED = 'reads.finding("vee.ghost", 0, 1, evidence={"ghost_milliwh": 1, f"ghost_l{phase}_mv": 2}, ghosts=3)'


def nameless(keys: dict[str, str]) -> dict[str, str]:
    return {
        key: place
        for key, place in keys.items()
        if any(name_of(key, language) == key for language in LANGUAGES)
    }


def test_every_key_of_evidence_has_a_name() -> None:
    found = keys_of_source()
    assert {"third_highest_milliwh", "newest_at", "clock_offset_s", "voltage_l2_mv", "said"} <= set(found)
    assert nameless(found) == {}


def test_a_key_without_a_name_is_seen() -> None:
    keys = dict.fromkeys(keys_in(PLANTED), "planted")
    assert set(nameless(keys)) == {"ghosts", "ghost_milliwh", "ghost_l1_mv", "ghost_l2_mv", "ghost_l3_mv"}
    assert set(rules_in(PLANTED)) - set(RULES) == {"vee.ghost"}


def test_every_rule_has_words() -> None:
    found = rules_of_source()
    assert {"vee.spike", "billing.held", "collection.stranger", "operations.backup-old"} <= set(found)
    assert {rule: place for rule, place in found.items() if rule not in RULES} == {
        "vee.rule-set-rule": "rule_set_json.py"
    }  # an error


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_told_with_a_code_is_in_its_sentence_or_has_a_name(language: str) -> None:
    faults = {code for _rule, codes in FAULTS for code in codes}
    told = {code: names for code, names in params_raised().items() if code in faults}
    told |= params_raised("UnableToBill")
    assert "found" in told["drivers.wrong-device"]
    assert "first_missing_at" in told["billing.incomplete"]
    untold = {
        (code, name)
        for code, names in told.items()
        for name in names - places_of(template_of(code, language)) - set(CODES)
        if name_of(name, language) == name
    }
    assert untold == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_subject_has_a_word(language: str) -> None:
    found = subjects_of_source()
    assert {"link", "spool", "worker", "installation:backup", "usage-point", "node", "kill-switch"} <= set(
        found
    )
    assert {kind: place for kind, place in found.items() if not word(f"subject.{kind}", language)} == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verb_of_the_audit_has_words(language: str) -> None:
    found = verbs_of_source()
    assert {"registry.add-meter", "commands.let-go", "tariffs.withdraw-contract"} <= set(found)
    assert {verb: place for verb, place in found.items() if not word(f"verb.{verb}", language)} == {}


def test_who_did_something_is_told_in_words() -> None:
    assert tell_actor("web:admin", "zh-hans") == "网页 admin"
    assert tell_actor("ghost:admin", "en") == "ghost admin"


def test_a_subject_is_told_in_words() -> None:
    assert tell_subject("worker:gaps", "zh-hans") == "后台任务 查找缺失数据"
    assert tell_subject("link:3", "en") == "Link 3"
    assert tell_subject("spool", "zh-hans") == "暂存区"
    assert tell_subject("installation:backup", "zh-hans") == "备份"
    assert tell_subject("ghost:1", "en") == "ghost 1"


def at_shanghai(instant: datetime) -> str:
    return f"{instant.astimezone(ZoneInfo('Asia/Shanghai')):%m-%d %H:%M}"


def told(evidence: dict[str, object], language: str = "zh-hans") -> dict[str, str]:
    return dict(tell_evidence(evidence, language, at_shanghai))


def test_values_are_told_in_units_that_people_read() -> None:
    assert told({"energy_milliwh": 1_250_000, "threshold_pct": 300, "tolerance_s": 120}) == {
        "电量": "1.25 kWh",
        "阈值": "300 %",
        "允许偏差": "120 秒",
    }
    assert told({"reactive_millivarh": 12}, "en") == {"Reactive energy": "0.000012 kvarh"}
    assert told({"error_ppm": -12_500, "load_permille": 55, "voltage_l1_mv": 231_400}, "en") == {
        "Error": "-1.25 %",
        "Load": "5.5 %",
        "Voltage L1": "231.4 V",
    }
    assert told({"energy_milliwh": 100_000_000}, "en") == {"Energy": "100 kWh"}


def test_words_and_instants_are_the_readers() -> None:
    assert told({"kept_source": 5, "lost_source": 1, "is_rejected": 1, "cause": "future", "flags": 6}) == {
        "保留值来源": "负荷曲线",
        "未保留值来源": "实时示值",
        "读数已剔除": "是",
        "时间": "在未来",
        "电能表标记": "可疑, 时钟错误",
    }
    noon_s = int(datetime(2026, 10, 1, 4, tzinfo=UTC).timestamp())
    assert told({"changed_at_s": noon_s, "value_before": -1}) == {
        "变更时间": "10-01 12:00",
        "之前示值（以最小步长计）": "未知",
    }
    assert told({"newest_at": "2026-10-01T04:00:00+00:00", "what": "gaps"}) == {
        "最近一次": "10-01 12:00",
        "任务": "查找缺失数据",
    }


def test_a_code_is_told_as_its_sentence_with_all_that_belongs_to_it() -> None:
    known = {"code": "billing.interval-off-grid", "at": "2026-10-01T04:00:00+00:00"}
    assert told(known) == {"原因": "10-01 12:00 的区间起点不在序列网格上，请检查采集方式。"}
    other = {
        "code": "billing.incomplete",
        "missing_count": "3",
        "first_missing_at": "2026-10-01T04:00:00+00:00",
    }
    assert told(other)["缺失区间数"] == "3"
    assert told(other)["最早缺失于"] == "10-01 12:00"
    assert list(told({"error_code": "", "peer": "10.0.0.9"})) == ["来自地址"]
