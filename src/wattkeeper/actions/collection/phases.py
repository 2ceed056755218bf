"""Which phase a channel that files made counts: the only one that any file told of its meter, or all."""

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Channel
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.channels import phase_of

ALL_PHASES = 0


def keep_phase(channel: Channel, block: IntervalBlock) -> None:
    """Keep which phase a block is of, in the first place that says one.

    Intervals of all phases may come after those of one: each of them is no less, and the larger stands.

    :raises WattkeeperError: ``imports.part-not-kept`` for another phase than is kept, or one where all are;
        ``imports.second-channel`` for a register of all phases after that of one
    """
    phase = int(phase_of(block.channel) or ALL_PHASES)
    if channel.phase_code == phase:
        return
    if channel.phase_code is not None:
        if phase != ALL_PHASES:
            raise WattkeeperError("imports.part-not-kept", channel=block.channel)
        if not block.interval_s:
            raise WattkeeperError("imports.second-channel", channel=block.channel)
    channel.phase_code = phase
    channel.save(update_fields=["phase_code"])
