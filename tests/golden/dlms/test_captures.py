"""Real captures and conversations of independent programs, decoded to the values their origins publish."""

import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from shared import shared_path
from wattkeeper.core.kernel.obis import Obis
from wattkeeper.protocols.dlms import security
from wattkeeper.protocols.dlms.describe import DecodedFrame, decode_chunks, decode_stream
from wattkeeper.protocols.dlms.security import Keys

VECTORS = shared_path("vectors/dlms")
PUSHES = VECTORS / "esphome_dlms_parser"
GUEK, GAK = bytes(range(16)), bytes(range(0xD0, 0xE0))
CAPTURES = {
    "hdlc_landis_gyr_e450": "hdlc_landis_gyr_e450",
    "hdlc_landis_gyr_zmf100": "hdlc_landis_gyr_zmf100",
    "hdlc_norway_han_1phase": "hdlc_norway_han_1phase",
    "hdlc_norway_han_3phase": "hdlc_norway_han_3phase",
    "mbus_netz_noe_p1": "mbus_netz_noe_p1",
    "raw_egd_example": "raw_egd_example",
    "raw_sagecom_xt211": "raw_sagemcom_xt211",
}


def capture(name: str) -> bytes:
    return bytes.fromhex(re.sub(r"[^0-9a-fA-F]", "", (PUSHES / f"{name}.log").read_text("utf-8-sig")))


def keys_of(name: str) -> dict[str, bytes]:
    files = {"guek": PUSHES / f"{name}.key", "gak": PUSHES / f"{name}.gak"}
    return {key: bytes.fromhex(path.read_text().strip()) for key, path in files.items() if path.exists()}


def expected(name: str) -> Iterator[tuple[str, str]]:
    """Yield (OBIS, value) as the origin's expectations say: strings as they are, numbers as decimal text."""
    text = (PUSHES / "expected" / f"{CAPTURES[name]}.expected.txt").read_text()
    for obis, value in re.findall(r'\{"([\d.]+)",\s*"?([^"}]*?)"?\}', text):
        yield str(Obis.parse(obis)), value.removesuffix("f") if re.fullmatch(r"-?[\d.]+f", value) else value


def values(rows: list[DecodedFrame]) -> dict[str, str]:
    return {r["id"]: r["value"] or "" for row in rows for r in row["readings"]}


def same(found: str, wanted: str) -> bool:
    try:
        return Decimal(found) == Decimal(wanted)
    except ArithmeticError:
        return found == wanted


def mismatches(rows: list[DecodedFrame], name: str) -> list[str]:
    found = values(rows)
    wrong = []
    for obis, value in expected(name):
        if obis == "0-0:0.0.0*0":  # the origin's name for the list's own time
            obis = "0-0:1.0.0"
        if obis == "0-0:1.0.0":
            value = value.replace(" ", "T")
        if obis == "0-2:25.9.0":  # a code as a value: the origin has no text for it
            value = "0002190900ff"
        if not same(found.get(obis, "?"), value):
            wrong.append(f"{obis}: {found.get(obis)} instead of {value}")
    return wrong


@pytest.mark.parametrize("name", CAPTURES)
def test_pushes_of_real_meters(name: str) -> None:
    rows = list(decode_stream(capture(name), keys_of(name)))
    assert len(list(expected(name))) >= 9
    assert mismatches(rows, name) == []
    # The origin notes that the check sum of this one log was mistyped: values are shown, with the error.
    codes = {row["error"]["code"] for row in rows if row["error"]}
    assert codes == ({"dlms.frame-check"} if name == "hdlc_landis_gyr_zmf100" else set())


@pytest.mark.parametrize("name", CAPTURES)
def test_a_flipped_byte_does_not_pass(name: str) -> None:
    data = capture(name)
    for position in range(len(data) // 2, len(data) - 4, 7):
        changed = bytearray(data)
        changed[position] ^= 0x04
        rows = list(decode_stream(bytes(changed), keys_of(name)))
        is_noticed = any(row["error"] for row in rows) or rows != list(decode_stream(data, keys_of(name)))
        assert is_noticed


def test_scaled_values_carry_their_units() -> None:
    rows = list(decode_stream(capture("mbus_netz_noe_p1"), keys_of("mbus_netz_noe_p1")))
    units = {r["id"]: (r["value"], r["unit"], r["measured_at"]) for row in rows for r in row["readings"]}
    assert units["1-0:32.7.0"] == ("233.7", "V", "2021-09-27T07:47:15Z")
    assert units["1-0:1.8.0"] == ("12937", "Wh", "2021-09-27T07:47:15Z")


def lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


# Values of the Norwegian and Swedish lists, worked out by hand from the hexadecimal text.
HAN = {
    ("aidon", "no_list_1"): {"1-0:1.7.0": "280"},
    ("aidon", "no_list_2"): {
        "1-0:1.7.0": "280",
        "1-0:31.7.0": "1.3",
        "1-0:32.7.0": "227.4",
        "0-0:96.1.7": "6525",
    },
    ("aidon", "NOTIFICATION_BODY_NO_LIST_3"): {
        "1-0:1.8.0": "22721380",
        "1-0:2.8.0": "0",
        "1-0:4.8.0": "1708430",
    },
    ("aidon", "se_list"): {"1-0:51.7.0": "7.5", "1-0:1.8.0": "10049926", "1-0:41.7.0": "1122"},
    ("kaifa", "no_list_2"): {
        "1-0:1.7.0": "9745",
        "1-0:31.7.0": "33.813",
        "1-0:71.7.0": "18.178",
        "1-0:32.7.0": "216.8",
    },
    ("kaifa", "no_list_3"): {"1-0:1.7.0": "4904", "1-0:1.8.0": "79591144", "0-0:96.1.0": "6970631402614476"},
    ("kaifa", "se_list"): {"1-0:31.7.0": "6.781", "1-0:32.7.0": "232.2", "1-0:1.8.0": "4786979"},
    ("kamstrup", "no_list_1_single_phase_real_sample"): {
        "1-1:1.7.0": "1896",
        "1-1:31.7.0": "8.96",
        "1-1:32.7.0": "225",
    },
    ("kamstrup", "no_list_2_single_phase_real_sample"): {"1-1:1.8.0": "77452500", "1-1:31.7.0": "45.12"},
    ("kamstrup", "se_list_real_sample"): {"1-1:71.7.0": "0.75", "1-1:72.7.0": "236"},
}


@pytest.mark.parametrize(("maker", "name"), HAN)
def test_lists_of_the_nordic_customer_interface(maker: str, name: str) -> None:
    (vector,) = (line for line in lines(VECTORS / f"amshan_test_{maker}.jsonl") if line["id"] == name)
    rows = list(decode_stream(bytes.fromhex(vector["hex"]), {}))
    found = values(rows)
    assert [row["error"] for row in rows] == [None]
    wrong = [obis for obis, value in HAN[maker, name].items() if not same(found[obis], value)]
    assert wrong == []


@pytest.mark.parametrize("maker", ["aidon", "kaifa", "kamstrup"])
def test_every_list_of_the_nordic_customer_interface_decodes(maker: str) -> None:
    for vector in lines(VECTORS / f"amshan_test_{maker}.jsonl"):
        rows = list(decode_stream(bytes.fromhex(vector["hex"]), {}))
        assert [row["error"] for row in rows] == [None], vector["id"]
        assert rows[0]["readings"], vector["id"]


def test_hdlc_edge_cases() -> None:
    rows = {
        line["id"]: list(decode_stream(bytes.fromhex(line["hex"]), {}))
        for line in lines(VECTORS / "amshan_test_hdlc.jsonl")
    }
    assert values(rows["FRAME_WITH_ESCAPE_CHARACTER_IN_INFO"]) == {"1-0:1.7.0": "1661"}
    assert values(rows["FRAME_WITH_FLAG_SEQUENCE_CHARACTER_IN_INFO"])["1-0:1.7.0"] == "5502"
    shared_flag = rows["TestHdlcFrameReader.test_single_flag_sequences_between_frames.data_feed"]
    assert [len(row["frame"]) // 2 for row in shared_flag] == [13, 10]


def transcript_keys(meta: Mapping[str, str]) -> dict[str, bytes]:
    return {"guek": bytes.fromhex(meta["guek"]), "gak": bytes.fromhex(meta["gak"])}


GURUX = sorted((VECTORS / "transcripts_gurux_c_server").glob("*.jsonl"))
PYDLMS = sorted((VECTORS / "transcripts_pydlms_sim").glob("*.rec"))


@pytest.mark.parametrize("path", GURUX, ids=lambda path: path.stem)
def test_conversations_with_the_gurux_server(path: Path) -> None:
    meta, *exchanged = (json.loads(line) for line in path.read_text().splitlines())
    chunks = [bytes.fromhex(line["hex"]) for line in exchanged]
    keys = transcript_keys(meta["meta"])
    rows = list(decode_chunks(chunks, keys))
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert "".join(row["frame"] for row in rows) == b"".join(chunks).hex()
    assert rows == list(decode_stream(b"".join(chunks), keys))
    found = values(rows)
    results = meta["meta"]["results"]
    if "get register 3/1.1.21.25.0.255/2" in results:
        wanted = Decimal(str(results["get register 3/1.1.21.25.0.255/2"]))
        assert Decimal(found["1-1:21.25.0"]) == wanted
    if "get logical device name 1/0.0.42.0.0.255/2" in results:
        assert found["0-0:42.0.0"] == "GRX0000000123456"


@pytest.mark.parametrize("path", PYDLMS, ids=lambda path: path.stem)
def test_conversations_with_the_pydlms_simulator(path: Path) -> None:
    wire = [line.split()[1] for line in path.read_text().splitlines() if line.startswith(("TX ", "RX "))]
    rows = list(decode_stream(bytes.fromhex("".join(wire)), {"guek": GUEK, "gak": GAK}))
    assert [row["error"] for row in rows] == [None] * len(rows)
    readings = [r for row in rows for r in row["readings"] if r["id"] == "1-0:1.8.0"]
    if "profile" in path.stem and "last4" not in path.stem:
        assert [Decimal(r["value"] or "") for r in readings] == [1000 + 7 * i for i in range(96)]
        assert readings[-1]["measured_at"] == "2024-05-01T23:45:00Z"


def test_conversations_do_not_decode_with_a_wrong_key() -> None:
    path = VECTORS / "transcripts_gurux_c_server" / "wrapper_gmac_auth_enc.jsonl"
    chunks = [bytes.fromhex(line["hex"]) for line in lines(path)[1:]]
    rows = list(decode_chunks(chunks, {"guek": bytes(16), "gak": GAK}))
    assert {row["error"]["code"] for row in rows if row["error"]} == {"dlms.wrong-key"}
    assert sum(row["error"] is None for row in rows) == 2  # the release in clear and its refusal


def test_suites_0_1_and_2() -> None:
    for line in lines(VECTORS / "general_glo_suites_0_1_2.jsonl"):
        keys = Keys(bytes.fromhex(line["guek"]), bytes.fromhex(line["gak"]))
        ciphered = security.unwrap(bytes.fromhex(line["apdu"]))
        assert ciphered is not None
        opened = security.unprotect(ciphered.text, keys=keys, system_title=ciphered.system_title)
        assert opened.plain.hex() == line["plain_apdu"]
        text = security.protect(
            opened.plain,
            keys=keys,
            system_title=ciphered.system_title,
            counter=int(line["invocation_counter"]),
            security_control=opened.security_control,
        )
        assert security.wrap_general(ciphered.system_title, text).hex() == line["apdu"]
        rows = list(
            decode_stream(bytes.fromhex(line["apdu"]), {"guek": keys.block, "gak": keys.authentication})
        )
        assert values(rows) == {"1-0:1.8.0": "12345"}


# Vectors of the origin's tests that are no whole APDU (fragments, keys, titles) or malformed on purpose.
NOT_APDUS = re.compile(
    r"const|inline|wrong_|raises|_key|system_title|ciphered_text|challenge|header_data|Axdr|\.access"
)


def test_apdus_of_another_implementation() -> None:
    dummy = {"guek": b"MYDUMMYGLOBALKEY"}
    titles = {
        "client_title": bytes.fromhex("4d4d4d0000bc614e"),
        "server_title": bytes.fromhex("4d4d4d0000bc614e"),
    }
    decoded = 0
    for line in lines(VECTORS / "pwitab_dlms_cosem.jsonl"):
        is_udp = "udp" in line["origin"] and line["len"] == 78
        if NOT_APDUS.search(line["id"]) and not is_udp:
            continue
        is_dummy = "udp" in line["origin"] or "general_global" in line["origin"]
        keys = dummy if is_dummy else {"guek": GUEK, "gak": GAK} | titles
        for row in decode_stream(bytes.fromhex(line["hex"]), keys):
            assert row["error"] is None, (line["id"], row["error"])
            decoded += 1
    assert decoded >= 45
