"""The demonstration: a simulated street read by a real head-end, and the proof that nothing was lost."""
