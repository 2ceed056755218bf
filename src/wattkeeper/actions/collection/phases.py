"""Which phase a channel that files made counts: the only one that any file told of its meter, or all."""

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Channel
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.channels import phase_of

ALL_PHASES = 0


def keep_phase(channel: Channel, block: IntervalBlock) -> None:
    """Keep which phase a block is of, in the first place that says one.

    :raises WattkeeperError: ``imports.part-not-kept`` for another phase than is kept, or one where all are;
        ``imports.second-channel`` for all phases after one
    """
    phase = int(phase_of(block.channel) or ALL_PHASES)
    if channel.phase_code == phase:
        return
    if channel.phase_code is not None:
        code = "imports.part-not-kept" if phase != ALL_PHASES else "imports.second-channel"
        raise WattkeeperError(code, channel=block.channel)
    channel.phase_code = phase
    channel.save(update_fields=["phase_code"])
