"""A worker's duty as a process: `python -m conformance.lease_rig LEASE_S HOW`.

Does its duty every few milliseconds: one row a write, with its fence number. Each line it prints says what it
did. HOW is `fenced`; `unfenced`, a planted fault: writes as long as it believes that it has the lease;
`stops`: stops itself at its tenth write, between the check of the lease and the commit; or `stops-for-good`:
likewise, and no database ends what it had begun, the other planted fault.
"""

import os
import signal
import sys
import time


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wattkeeper.data.settings")
    import django

    django.setup()
    from django.db import Error, close_old_connections, transaction

    from wattkeeper.bootstrap.duty import Duty
    from wattkeeper.core.kernel.errors import WattkeeperError
    from wattkeeper.data.collection import leases
    from wattkeeper.data.collection.models import Counter

    how = sys.argv[2]
    if how == "stops-for-good":
        leases._end_if_silent = lambda within_s: None
    duty = Duty(lease_s=float(sys.argv[1]))
    duty.start()
    number = 0

    def write() -> int:
        # a moment passes between the decision and the write: here a stopped process is stopped
        time.sleep(0.2 if how == "unfenced" else 0.02)
        with transaction.atomic():
            Counter.objects.create(name=f"{os.getpid()}:{number}", value=fence_id)
            if how.startswith("stops") and written_count == 10:
                os.kill(os.getpid(), signal.SIGSTOP)
        return 1

    written_count = 0
    while True:
        number += 1
        fence_id = duty.fence_id
        try:
            if fence_id is not None and (write() if how == "unfenced" else duty.do(write)):
                written_count += 1
                sys.stdout.write(f"wrote {fence_id}\n")
        except WattkeeperError as error:
            sys.stdout.write(f"refused {error.code}\n")
        except Error as error:
            sys.stdout.write(f"busy {type(error).__name__}\n")
        close_old_connections()
        sys.stdout.flush()
        time.sleep(0.005)


if __name__ == "__main__":
    main()
