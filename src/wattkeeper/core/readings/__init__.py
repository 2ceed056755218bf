"""From raw reads to interval energy: rollover, continuity, exchange, multipliers. A function of sets."""
