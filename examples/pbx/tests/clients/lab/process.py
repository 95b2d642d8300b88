"""Child processes that end with the test, whatever becomes of it."""

import ctypes
import os
import signal
import subprocess

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A program in a session of its own, its output in a file."""

    def __init__(self, argv, log, cwd=None, env=None):
        self.argv = [str(a) for a in argv]
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(env or {})}, start_new_session=True, preexec_fn=_die_with_parent)

    @property
    def running(self):
        return self.process.poll() is None

    @property
    def output(self):
        with open(self.log, "r", encoding="utf-8", errors="replace") as f:
            return f.read()

    def wait(self, seconds):
        """The exit status; None where it has not ended within `seconds`."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self, seconds=5):
        """Asks it to end (SIGTERM) and returns its exit status; None where it did not end in time."""
        if self.running:
            self.process.terminate()
        return self.wait(seconds)

    def interrupt(self, seconds=5):
        """Ends it as a key press would (SIGINT)."""
        if self.running:
            self.process.send_signal(signal.SIGINT)
        return self.wait(seconds)

    def close(self):
        """Ends it and everything that it started."""
        if self.terminate(seconds=2) is None:
            self._kill_session()
            self.process.wait()
        else:
            self._kill_session()

    def _kill_session(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
