"""What a link's endpoint may say, checked when it is written and not only when it is dialled."""

from wattkeeper.data.collection.models import Link
from wattkeeper.headend.mqtt_address import check_broker


def check_endpoint(link: Link) -> None:
    """Check that a head-end would go where a link leads.

    :raises WattkeeperError: ``headend.broker-invalid``, ``headend.broker-insecure``
    """
    if link.transport == Link.Transport.MQTT:
        check_broker(link.endpoint)
