"""Hold one thread of a process until that ends, as a loop is held that hangs: ``stuck.py THREAD``."""

import ctypes
import os
import signal
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
ALL = 0x40000000  # __WALL of waitpid(2): a thread that is no child, too
PATIENCE_S = 60

if __name__ == "__main__":
    signal.alarm(PATIENCE_S)
    thread = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        if libc.ptrace(request, thread, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")
    while os.WIFSTOPPED(os.waitpid(thread, ALL)[1]):
        pass  # it stays stopped until somebody kills it; then it is for us to take it from the kernel
