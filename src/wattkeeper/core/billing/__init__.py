"""From determinants to a bill, each line traceable to its intervals.

`compute_bill` (compute.py) makes a `BillDocument` (document.py) of `IntervalColumns` (intervals.py);
`correction` (correct.py) reverses one and posts another.
"""
