"""A defect in the sensor that takes whatever it gets: memory upon SIGUSR1, threads upon SIGUSR2. It says how much.

Python imports a module of this name at its start, wherever PYTHONPATH finds it.
"""

import json
import signal
import sys
import threading

STEP_MIB = 64


def _say(**what: int) -> None:
    sys.stdout.write(json.dumps({"event": "greedy"} | what) + "\n")
    sys.stdout.flush()


def _take_memory(_number: int, _frame: object) -> None:
    taken = []
    while True:
        taken.append(b"\1" * (STEP_MIB << 20))
        _say(mib=STEP_MIB * len(taken))


def _take_threads(_number: int, _frame: object) -> None:
    over = threading.Event()
    threads: list[threading.Thread] = []
    try:
        while True:
            thread = threading.Thread(target=over.wait)
            thread.start()
            threads.append(thread)
    except RuntimeError:
        _say(threads=len(threads))
    over.set()
    for thread in threads:
        thread.join()


signal.signal(signal.SIGUSR1, _take_memory)
signal.signal(signal.SIGUSR2, _take_threads)
