"""What every test shares: a time zone that shows UTC slips, a data folder of its own."""

import os
import tempfile
import time

os.environ["TZ"] = "America/St_Johns"
time.tzset()
os.environ.setdefault("WATTKEEPER_DATA", tempfile.mkdtemp(prefix="wattkeeper-test-"))
