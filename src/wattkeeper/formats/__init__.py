"""Files to readings and back.

`read_nem12` (nem12.py) and `read_csv` (csv_intervals.py) give `ParsedIntervals` (api.py): blocks of exact
integers and an error for each row left out; `detect_format` (detect.py) tells which reader a file is for.
"""
