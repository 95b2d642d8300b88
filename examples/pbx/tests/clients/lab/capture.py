"""tshark: what really went over the wire, judged by a dissector that nobody here wrote."""

import subprocess

from .net import free_port, until
from .process import Child
from .sip import Client

_MANDATORY = ("sip.Via", "sip.From", "sip.To", "sip.Call-ID", "sip.CSeq")  # RFC 3261 section 8.1.1
_FAULTS = " || ".join(["_ws.malformed", "_ws.expert.severity == error", *(f"!{name}" for name in _MANDATORY)])


class Capture:
    """Records UDP of the given ports on the loopback device until it is stopped."""

    def __init__(self, directory, *ports):
        self._file = directory / f"capture-{ports[0]}.pcapng"
        self._file.unlink(missing_ok=True)
        self._ports = ports
        self._marker = free_port()
        wanted = " or ".join(f"udp port {p}" for p in (*ports, self._marker))
        self._child = Child(["tshark", "-q", "-n", "-i", "lo", "-f", wanted, "-w", self._file],
                            directory / "tshark.log", cwd=directory)
        until(self._recording, 15, "tshark to record")

    def _recording(self):
        """tshark says "Capturing" before it does: packets of our own are sent until one is in the file."""
        if not self._child.running:
            raise AssertionError(f"tshark ended: {self._child.output[-400:]}")
        with Client(("127.0.0.1", self._marker)) as sender:
            sender.send_raw(b"marker")
        return b"marker" in self.recorded

    @property
    def recorded(self):
        """The raw bytes recorded so far."""
        return self._file.read_bytes() if self._file.exists() else b""

    def stop(self):
        self._child.interrupt(10)

    def sent(self, sender):
        """How many SIP messages from port `sender` were recorded."""
        return len(self._read(f"sip && udp.srcport == {sender}"))

    def malformed(self, sender):
        """One line for each SIP message sent from port `sender` that has a fault or lacks a mandatory header."""
        return self._read(f"sip && udp.srcport == {sender} && ({_FAULTS})")

    def _read(self, wanted):
        decode = [a for p in self._ports for a in ("-d", f"udp.port=={p},sip")]
        done = subprocess.run(["tshark", "-n", "-r", str(self._file), *decode, "-Y", wanted], timeout=60,
                              capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    def close(self):
        self._child.close()
