"""What the worker settles with the system before it works: a private socket, a parent to end with, no network."""

import ctypes
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Literal

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def require_private(socket: Path) -> None:
    """Make the socket's directory with mode 0700, or raise ValueError if others can enter it."""
    socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = socket.parent.stat()
    if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
        raise ValueError(f"{socket.parent} must belong to this user alone (mode 0700): whoever enters it can connect")


def end_with(parent_pid: int) -> None:
    """Let the kernel end this process when its parent dies. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:  # it died before the kernel was asked
        sys.exit("gatekeeper-inference: the supervisor is gone")


def stay_offline(threads: int | Literal["auto"]) -> None:
    """Forbid downloads and remote code to the libraries, before they are imported."""
    most = len(os.sched_getaffinity(0)) if threads == "auto" else threads
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DIFFUSERS_DISABLE_REMOTE_CODE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(most),
        "OMP_WAIT_POLICY": "PASSIVE",
    }
