"""What is told of an endpoint that leads nowhere, also by a trace in a log, repeats none of its secrets."""

import traceback

import pytest

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_address import parse_carrier
from wattkeeper.headend.dial_in import parse_dial_in
from wattkeeper.headend.errors import LinkDown
from wattkeeper.headend.mqtt_address import check_broker
from wattkeeper.headend.tcp import dial, split_endpoint

SECRET = "GeHeim-1"


@pytest.mark.parametrize(
    ("parse", "endpoint", "code"),
    [
        (check_broker, f"mqtts://me:{SECRET}/x@broker.example:8883", "headend.broker-invalid"),
        (check_broker, f"mqtts://me:{SECRET}℀@broker.example:8883", "headend.broker-invalid"),
        (check_broker, f"mqtts://broker.example:8883?{SECRET}", "headend.broker-invalid"),
        (
            parse_dial_in,
            f"listen://0.0.0.0:9000?token={SECRET}&form=10.0.0.1",
            "headend.listen-endpoint-invalid",
        ),
        (parse_dial_in, f"listen://0.0.0.0:9000?{SECRET}", "headend.listen-endpoint-invalid"),
        (parse_carrier, f"tls://me:{SECRET}℀@carrier.example:4222", "carry.url"),
        (split_endpoint, f"tcp://me:{SECRET}@10.0.0.1", "headend.endpoint-invalid"),
        (split_endpoint, f"tcp://me:{SECRET}℀@10.0.0.1:9", "headend.endpoint-invalid"),
        (split_endpoint, f"tcp://me:{SECRET}@[::1:9", "headend.endpoint-invalid"),
    ],
)
def test_a_wrong_endpoint_is_told_without_its_secret(parse: object, endpoint: str, code: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        parse(endpoint)  # type: ignore[operator]
    assert caught.value.code == code
    assert SECRET not in "".join(traceback.format_exception(caught.value))


async def test_a_line_that_refuses_is_told_without_its_secret() -> None:
    with pytest.raises(LinkDown) as caught:
        await dial(f"tcp://me:{SECRET}@127.0.0.1:1")()
    assert caught.value.params == {"endpoint": "tcp://me:***@127.0.0.1:1"}
    assert SECRET not in "".join(traceback.format_exception(caught.value))
