"""The rules of the trade: pure functions over numbers and arrays. No I/O, no clock, no randomness."""
