"""A worker's duty as a process: `python -m conformance.lease_rig LEASE_S fenced|unfenced`.

Does its duty every few milliseconds: one row a write, with its fence number. Each line it prints says what it
did. `unfenced` is the planted fault: writes as long as it believes that it has the lease.
"""

import os
import sys
import time


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wattkeeper.data.settings")
    import django

    django.setup()
    from django.db import Error

    from wattkeeper.bootstrap.duty import Duty
    from wattkeeper.core.kernel.errors import WattkeeperError
    from wattkeeper.data.collection.models import Counter

    duty = Duty(lease_s=float(sys.argv[1]))
    duty.start()
    number = 0

    def write() -> int:
        # a moment passes between the decision and the write: here a stopped process is stopped
        time.sleep(0.02)
        Counter.objects.create(name=f"{os.getpid()}:{number}", value=fence_id)
        return 1

    while True:
        number += 1
        fence_id = duty.fence_id
        try:
            if fence_id is not None and (duty.do(write) if sys.argv[2] == "fenced" else write()):
                sys.stdout.write(f"wrote {fence_id}\n")
        except WattkeeperError as error:
            sys.stdout.write(f"refused {error.code}\n")
        except Error as error:
            sys.stdout.write(f"busy {type(error).__name__}\n")
        sys.stdout.flush()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
