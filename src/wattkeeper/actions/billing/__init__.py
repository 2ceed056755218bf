"""Bills: made from stored intervals, issued once, corrected by reversal."""
