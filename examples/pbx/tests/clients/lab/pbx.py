"""The PBX under test: its configuration, its secrets, its start and its end."""

import re
import subprocess

from .net import free_port
from .process import Child
from .sip import Client, wait_ready

REALM = "pbx.test"
SECRETS = {"1001": "first-secret-1001", "1002": "other-secret-1002", "1003": "third-secret-1003"}
CALL_CHALLENGE = 401
"""What a call without credentials is answered with (RFC 3261 section 22.2: a user agent server says 401)."""

_FAILURE = re.compile(r'outcome="?(bad_credentials|malformed|unknown_account|disabled|replay)\b')
"""The outcomes that count as failed attempts."""


class Pbx:
    """A running PBX with the extensions 1001 to 1003 on a port of its own.

    `trunk`: address of a provider's gateway. `countries`: those that may be called beside Germany. `off`: the control
    arm, without any protection. `extension`: further keys of every extension.

    Loopback counts as any other network here: were it the management network, no attack from it would be counted.
    """

    def __init__(self, lab, trunk=("127.0.0.1", 9), off=False, secrets=SECRETS, auto_defence=True, countries=("AT", "GB"),
                 extension="", digest=("MD5",)):
        self.port = free_port()
        self.server = ("127.0.0.1", self.port)
        self._binary = lab.binary
        self._folder = lab.folder(f"pbx-{self.port}")
        self._config = self._folder / "pbx.toml"
        self._config.write_text(_config(self.port, trunk, off, auto_defence, countries, extension, digest))
        self.command = [str(self._binary), "run", "--config", str(self._config)]
        self._lab = lab
        for number in SECRETS:
            self.set_secret(number, secrets[number])
        self.start()

    def start(self):
        self.child = self._lab.keep(Child(self.command, self._folder / "pbx.log", cwd=self._folder,
                                          env={"NO_COLOR": "1"}))
        try:
            wait_ready(self.server, alive=lambda: self.child.running)
        except AssertionError as why:
            raise AssertionError(f"{why}; the PBX said:\n{self.child.output[-2000:]}") from None

    def set_secret(self, extension, secret):
        """The one place that knows how a secret gets into the PBX."""
        done = subprocess.run([self._binary, "user", "passwd", "--config", self._config, extension], input=secret + "\n",
                              capture_output=True, text=True, timeout=20, check=False)
        if done.returncode:
            raise AssertionError(f"pbx user passwd {extension}: exit {done.returncode}: {done.stderr.strip()[-500:]}")

    def client(self, address="127.0.0.1", port=0):
        return Client(self.server, address, port)

    def failed_attempts(self, account, address):
        """How many failed attempts the PBX says it has counted for this account from this address."""
        mine = [line for line in self.log.splitlines()
                if re.search(rf"\baccount={account}\b", line) and re.search(rf"\bsource={re.escape(address)}:", line)]
        return sum(1 for line in mine if _FAILURE.search(line))

    def events(self, name):
        """The log lines that hold an event of that name."""
        return [line for line in self.log.splitlines() if re.search(rf"\b{re.escape(name)}\b", line)]

    @property
    def log(self):
        """What it has logged since its last start."""
        return self.child.output


def _config(port, trunk, off, auto_defence, countries, extension, digest):
    return f"""
[pbx]
listen = ["udp:127.0.0.1:{port}"]
realm = "{REALM}"
data_dir = "data"
digest = {list(digest)}
log = "debug"
danger_protection_off = {str(off).lower()}

[network]
management = []
lan = []
ports = {{ sip_udp = {port} }}
{"" if auto_defence else "auto_defence = []"}

[international]
enabled = true
home = "DE"
prefixes = ["00"]
national_prefix = "0"
allowed = {list(countries)}

[dialling]
access_prefixes = ["0"]

[[trunk]]
name = "provider"
address = "{trunk[0]}:{trunk[1]}"

[[emergency]]
name = "Emergency"
number = "112"
trunk = [{{ trunk = "provider" }}]

[[route]]
name = "International"
pattern = [{{ pattern = "00X." }}]
trunks = ["provider"]
everyone = true

[[route]]
name = "National"
pattern = [{{ pattern = "0Z." }}]
trunks = ["provider"]
everyone = true

""" + "".join(f"""
[[extension]]
number = "{number}"
name = "Phone {number}"
direct_numbers = ["+49301234{number}"]
registration = {{ remote = true, devices = 3 }}
{extension}
""" for number in SECRETS)
