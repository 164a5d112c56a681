"""What the hub costs, in ratios against baselines of the same run: downloads, uploads, listings, and a peer.

    python bench/hub.py [--part NAME]... [--small] [--seconds 2] [--rounds 3] [--folder DIR]

    nginx      P6   downloads behind nginx, against the same nginx and an application that asks nobody, and nginx alone
    direct     P7   downloads without nginx, under granian and uvicorn, whole and in ranges
    hashing    P11  an upload is hashed while it is written
    clients    the public client sends 1 GiB and then a variant of it with 5 % changed, by LFS and by Xet
    olah       P12  against Olah from its package, which is installed for it
    listing    a tree of 10,000 files

Without --part all of them run. --small takes small files and short rounds: it shows that everything works, and its
figures mean nothing. CPU time is that of the servers, with all processes they started. Where other work shares the
machine, read ratios of CPU time rather than rates. docs/performance.md tells what was found. Ends with status 1 where
a goal was missed.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from hub_downloads import behind_nginx, without_nginx
from hub_listing import listing
from hub_olah import against_olah
from hub_uploads import clients, hashing
from measuring import Options, Report

_PARTS = {
    "nginx": behind_nginx,
    "direct": without_nginx,
    "hashing": hashing,
    "clients": clients,
    "olah": against_olah,
    "listing": listing,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=_PARTS, help="may be given more than once")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--seconds", type=float, help="length of a round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--folder", help="where temporary files go; they are removed")
    given = parser.parse_args()
    # Ended by its terminal or by a timeout, it must still end its servers.
    signal.signal(signal.SIGTERM, _leave)
    report = Report()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}" + (", small" if given.small else ""), flush=True)
    for name in given.part or _PARTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="bench-hub-", dir=given.folder) as folder:
            options = Options(
                is_small=given.small,
                seconds=given.seconds or (0.5 if given.small else 2),
                rounds=given.rounds or (1 if given.small else 3),
                work=Path(folder),
            )
            _PARTS[name](options, report)
        report.tell(f"({name}: {time.monotonic() - started:.0f} s)")
    if report.missed:
        print(f"\nNot met: {'; '.join(report.missed)}")
    sys.exit(bool(report.missed))


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
