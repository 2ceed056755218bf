import pytest

from wattkeeper.interfaces.cli.tools.lines import frame_digits

FRAME = bytes.fromhex("6861010000000068910833333433593333338a16")
SPACED = FRAME.hex(" ")


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-01 12:00:00,123 DEBUG wattkeeper.link recv: {SPACED}",
        f"2026-11-01T12:00:00.123Z TX {FRAME.hex()}",
        f"2026/11/01 12:00:00 +08:00 {SPACED}",
        f"[2026-11-01 12:00:00.123] {SPACED}",
        f"[12:34:56][D][uart_debug:158]: >>> {FRAME.hex(':')}",
        f"12:00:01.234 -> {SPACED}",
        f"12:00:01:234 <- {SPACED}",
        f"12:00:01 <- (20 bytes): {SPACED}",
        f"1700000000.123 RX: {SPACED}",
        f"0.012345 {SPACED}",
        f"Nov  1 12:00:00 host app[123]: got {SPACED} ok",
        f"[16:02:31.123]发→◇{SPACED} □",
        f"[16:02:31.233]收←◆{SPACED}",
        f"发送：{SPACED}",
        f"000012-Tx:{SPACED}",
        f"Tx:000012-{SPACED}",
        "".join(f"[{octet:02X}]" for octet in FRAME),
        "".join(f"<{octet:02X}>" for octet in FRAME),
        "send: " + " ".join(f"{octet:#x}" for octet in FRAME),
        "uint8_t frame[] = {" + ", ".join(f"0x{octet:02X}" for octet in FRAME) + "};",
        f"logged {FRAME!r} here",
        "".join(f"\\x{octet:02x}" for octet in FRAME),
        f"RECEIVED 20 bytes: {SPACED}",
    ],
)
def test_the_frame_in_a_line_of_a_log(line):
    assert frame_digits(line).lower() == FRAME.hex()


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-01 10:00:00 connecting to 10.0.0.5:4059",
        "2026-11-01 10:00:00",
        "[2026-11-01 12:00:00.123]",
        "12:00:00 meter 000000000161 offline",
        "recv timeout",
        "[12:00:00] INFO connected",
    ],
)
def test_talk_between_frames(line):
    assert frame_digits(line) is None


@pytest.mark.parametrize("line", ["12:00:00 TX 68 6g 01", "TX 68 6g 01 02", "hello", "68 6g", "b'\\x6'"])
def test_what_should_hold_bytes_is_not_passed_over(line):
    assert frame_digits(line) != ""
    assert not set(frame_digits(line).lower()) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("line", "digits"), [("10:11:12", "101112"), ("68:61:01", "686101"), ("20 26 11", "202611")]
)
def test_octets_that_look_like_a_time_stay_octets(line, digits):
    assert frame_digits(line) == digits
