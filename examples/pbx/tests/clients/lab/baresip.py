"""baresip, a real phone: started without a display, driven over its control port."""

import glob
import json
import pathlib
import re
import socket
import time

from . import tone
from .net import NotInTime, free_port, until
from .process import Child

_TEMPLATE = pathlib.Path(__file__).parent.parent / "scenarios" / "baresip.config"


class Phone:
    """One phone with one account. Its microphone plays a tone of `hertz` (0: silence).

    With `server` it registers there, without it takes calls sent to its own address.
    """

    def __init__(self, directory, user, server=None, secret="", hertz=0, address="127.0.0.1", answer="auto"):
        self.user, self.directory, self.address = user, directory, address
        self.port = free_port(address, 2)  # the neighbour is taken for TLS
        self._events = []
        self._buffer = b""
        self._control = None
        control = free_port(address)
        self._write_files(control, server, secret, hertz, answer)
        self._child = Child(["baresip", "-f", directory], directory / "baresip.log", cwd=directory)
        try:
            self._control = until(lambda: _connect(address, control), 10, "the control port of baresip")
            # The account comes over the control port, so that no event of it is missed.
            self._create_account()
        except AssertionError:
            self.close()
            raise

    def _write_files(self, control, server, secret, hertz, answer):
        self.directory.mkdir(parents=True, exist_ok=True)
        self._recordings = self.directory / "recordings"
        self._recordings.mkdir()
        tone.write(self.directory / "tone.wav", hertz, 30)
        rtp = free_port(self.address, 20)
        values = {"ADDRESS": self.address, "SIP_PORT": self.port, "CONTROL_PORT": control, "RTP_PORT": rtp,
                  "RTP_LAST": rtp + 19, "TONE": self.directory / "tone.wav", "RECORDINGS": self._recordings,
                  "MODULES": _module_path()}
        text = _TEMPLATE.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (self.directory / "config").write_text(text)
        (self.directory / "accounts").write_text("")
        (self.directory / "contacts").write_text("")
        self._line = self._account(server, secret, answer)

    def _account(self, server, secret, answer):
        host, port = server or (self.address, self.port)
        registration = f"auth_user={self.user};auth_pass={secret};regint=60" if server else "regint=0"
        return (f"<sip:{self.user}@{host}:{port};transport=udp>;{registration};"
                f"audio_codecs=PCMU;answermode={answer}")

    def _create_account(self):
        self.command("uanew", self._line)
        answer = self._take(5, "the answer to uanew", lambda e: e.get("token") == "uanew")
        if not answer.get("ok"):
            raise AssertionError(f"phone {self.user} refuses its account: {answer}")

    @property
    def uri(self):
        return f"sip:{self.user}@{self.address}:{self.port}"

    def command(self, name, parameters=""):
        body = json.dumps({"command": name, "params": parameters, "token": name}).encode()
        self._control.sendall(b"%d:%s," % (len(body), body))

    def dial(self, target):
        self.command("dial", target)

    def hang_up(self):
        self.command("hangup")

    def wait_for(self, seconds, *kinds):
        """The first event of one of these kinds (REGISTER_OK, CALL_ESTABLISHED, ...) not yet taken."""
        return self._take(seconds, " or ".join(kinds), lambda e: e.get("type") in kinds)

    def _take(self, seconds, what, wanted):
        end = time.monotonic() + seconds
        while True:
            for i, event in enumerate(self._events):
                if wanted(event):
                    return self._events.pop(i)
            left = end - time.monotonic()
            if left <= 0:
                raise NotInTime(f"phone {self.user}: no {what} within {seconds:g} s\n{self.log[-600:]}")
            self._read(left)

    def _read(self, seconds):
        self._control.settimeout(max(seconds, 0.01))
        try:
            data = self._control.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise AssertionError(f"phone {self.user} ended: {self.log[-600:]}")
        self._buffer += data
        while b":" in self._buffer:
            length, rest = self._buffer.split(b":", 1)
            if len(rest) < int(length) + 1:
                return
            self._events.append(json.loads(rest[:int(length)]))
            self._buffer = rest[int(length) + 1:]

    def hears(self, hertz):
        """The share of `hertz` in what this phone has received so far."""
        files = glob.glob(str(self._recordings / "*-dec.wav"))
        return max((tone.share(f, hertz) for f in files), default=0.0)

    @property
    def log(self):
        """What it printed, without the meter that it redraws all the time."""
        return re.sub(r"\[\d+:\d+:\d+\] audio=\S+ \(bit/s\)\s*", "", self._child.output)

    def close(self):
        if self._control:
            self._control.close()
        self._child.close()


def _connect(address, port):
    try:
        return socket.create_connection((address, port), 1)
    except OSError:
        return None


def _module_path():
    found = glob.glob("/usr/lib/baresip/modules") + glob.glob("/usr/lib/*/baresip/modules")
    return next(iter(found), "/usr/lib/baresip/modules")
