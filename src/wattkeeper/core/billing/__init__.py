"""From determinants to a bill, each line traceable to its intervals.

`compute_bill` (compute.py) makes a `BillDocument` (document.py) of `IntervalColumns` (intervals.py);
`reverse` (correct.py) takes one back, line by line.
"""
