"""What pages, API and shell read of intervals, bills and their traces: one answer for all of them."""
