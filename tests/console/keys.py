"""Types into the terminal of `yunqiao dev`, as a person does: python3 keys.py OPENED COMMAND…

OPENED is the file that the browser of the environment writes the address to that it is to open."""

import os
import pty
import signal
import sys
import time

opened, command = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(command[0], command)

shown = b""


def too_late(*_):
    raise TimeoutError(shown)


# What is never shown is read for no longer.
signal.signal(signal.SIGALRM, too_late)
signal.alarm(300)


def shows(text, times=1):
    """Reads on until the terminal has shown the text so often."""
    global shown
    while shown.count(text) < times:
        read = os.read(terminal, 4096)
        assert read, shown
        shown += read


def types(line):
    os.write(terminal, line.encode() + b"\n")


shows(b"ready http://")
shows(b"o open the console, r reload, c clear, q quit")
types("what")
shows(b"o open the console, r reload, c clear, q quit", 2)
types("r")
shows(b"reloaded: 1 function")
types("c")
shows(b"\x1b[2J")
types("o")
deadline = time.monotonic() + 60
while not os.path.exists(opened):
    assert time.monotonic() < deadline, shown
    time.sleep(0.02)
types("q")
try:
    # To the end: what a terminal is still told is no reason to wait.
    while os.read(terminal, 4096):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
