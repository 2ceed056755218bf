"""What every test shares: a time zone that shows UTC slips, a data folder of its own."""

import os
import tempfile
import time

from hypothesis import HealthCheck, settings

os.environ["TZ"] = "America/St_Johns"
time.tzset()
os.environ.setdefault("WATTKEEPER_DATA", tempfile.mkdtemp(prefix="wattkeeper-test-"))

# Machines are shared and noisy: no test depends on how long one example takes.
settings.register_profile("wattkeeper", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wattkeeper")
