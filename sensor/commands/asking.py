"""Asking a running sensor how it is, by its socket."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sensor.commands import OperatorError
from sensor.output.status_socket import NAME

if TYPE_CHECKING:
    from argparse import Namespace

RUNTIME = Path("/run/legwatch")  # of the unit; instances have theirs in it
PATIENCE_S = 5.0
MAX_OCTETS = 1 << 20  # of an answer; it has some ten thousand

_TIMEVAL = struct.Struct("@ll")


def path_of(args: Namespace) -> Path:
    """Return the socket that a command line means."""
    if args.socket is not None:
        return Path(args.socket)
    return RUNTIME / args.interface / NAME if args.interface else RUNTIME / NAME


def ask(path: Path) -> dict[str, Any]:
    """Return what the sensor says; OperatorError when there is none, or it may not be asked."""
    try:
        status = json.loads(_heard(path))
    except FileNotFoundError:
        raise OperatorError(f"{path}: no sensor has this socket; {_others(path)}") from None
    except ConnectionRefusedError:
        raise OperatorError(f"{path}: the sensor that made it has ended; systemctl status legwatch says why") from None
    except PermissionError:
        raise OperatorError(f"{path}: only root and members of its group may ask; sudo, or join the group") from None
    except (TimeoutError, BlockingIOError):
        raise OperatorError(f"{path}: the sensor does not answer within {PATIENCE_S:.0f} s") from None
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror or error}") from None
    except ValueError:
        raise OperatorError(f"{path}: what answers there is no sensor, or one that could not say how it is") from None
    if not isinstance(status, dict) or "ready" not in status:
        raise OperatorError(f"{path}: what answers there is no sensor")
    return status


def _heard(path: Path) -> bytes:
    octets = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        # A socket with a timeout of Python's does not wait for its turn.
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            client.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(int(PATIENCE_S), 0))
        client.connect(str(path))
        while len(octets) <= MAX_OCTETS and (more := client.recv(65536)):
            octets += more
    return octets


def _others(path: Path) -> str:
    """Return what can be done where there is no socket."""
    try:
        found = sorted(each.parent.name for each in path.parent.glob(f"*/{NAME}"))
    except OSError:
        found = []
    if found:
        return f"there are {', '.join(found)}: name one with -i"
    return "is it running (systemctl status legwatch)? -i names an instance, --socket another path"
