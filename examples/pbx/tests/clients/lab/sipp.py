"""SIPp: plays phones, callers and a provider's gateway after a scenario."""

import csv
import pathlib
import re

from .net import free_port, until
from .process import Child

_SCENARIOS = pathlib.Path(__file__).parent.parent / "scenarios"


class Outcome:
    """How a run ended: `failed` counts calls that did not follow the scenario, None where SIPp did not end."""

    def __init__(self, status, successful, failed, log):
        self.status, self.successful, self.failed, self.log = status, successful, failed, log

    def __repr__(self):
        return f"<SIPp exit {self.status}: {self.successful} successful, {self.failed} failed>\n{self.log}"


def login(user, secret):
    """The CSV field that makes SIPp answer a challenge; it must stand whole in the file."""
    return f"[authentication username={user} password={secret}]"


def play(scenario, server, rows, directory, calls=1, rate=10, seconds=30, address="127.0.0.1", port=None, dialled=None,
         **replace):
    """Runs a calling scenario; `rows` are the fields of its CSV, taken in order, from the start again at the end.

    SIPp vouches for its server's address in credentials, not for the Request-URI as RFC 7616 section 3.4 has
    it. `dialled` is the number in the latter, where there is one.
    """
    users = directory / f"{scenario}.csv"
    users.write_text("SEQUENTIAL\n" + "".join(";".join(row) + "\n" for row in rows))
    file = _prepare(scenario, directory, replace)
    child = Child([*_common(file, directory, address, port or free_port(address)), "-inf", users, "-m", calls,
                   "-r", rate, "-timeout", f"{seconds}s", "-timeout_error",
                   "-auth_uri", f"{dialled}@{server[0]}" if dialled else server[0], f"{server[0]}:{server[1]}"],
                  directory / f"{scenario}.log", cwd=directory)
    try:
        status = child.wait(seconds + 5)
    finally:
        child.close()
    return Outcome(status, *_counts(directory, file.stem), _errors(directory, file.stem))


class Answering:
    """A called side that answers every call until it is closed."""

    def __init__(self, directory, address="127.0.0.1", port=None, scenario="answer", **replace):
        self.server = (address, port or free_port(address))
        self._directory = directory
        self._file = _prepare(scenario, directory, replace, suffix=f"-{self.server[1]}")
        calls = directory / f"{self._file.stem}.calls"
        self._child = Child([*_common(self._file, directory, *self.server), "-trace_logs", "-log_file", calls],
                            directory / f"{self._file.stem}.log", cwd=directory)
        until(lambda: self._bound() or not self._child.running, 5, "SIPp to listen")

    def _bound(self):
        port = f":{self.server[1]:04X}"
        with open("/proc/net/udp", encoding="ascii") as f:
            return any(line.split()[1].endswith(port) for line in f.readlines()[1:])

    def stop(self):
        """Ends it; how many calls followed the scenario to its end."""
        self._child.close()
        return _counts(self._directory, self._file.stem)[0]

    @property
    def called(self):
        """The numbers that were called, in the order in which the calls came."""
        try:
            return re.findall(r"called (\S+)", (self._directory / f"{self._file.stem}.calls").read_text())
        except FileNotFoundError:
            return []

    @property
    def answered(self):
        """How many calls have followed the scenario to its end so far."""
        return _counts(self._directory, self._file.stem)[0]

    def close(self):
        self._child.close()


def _prepare(scenario, directory, replace, suffix=""):
    text = (_SCENARIOS / f"{scenario}.xml").read_text()
    for name, value in replace.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    file = directory / f"{scenario}{suffix}.xml"
    file.write_text(text)
    return file


def _common(file, directory, address, port):
    return ["sipp", "-sf", file, "-i", address, "-mi", address, "-p", port, "-mp", free_port(address, 4), "-nostdin",
            "-default_behaviors", "all,-bye",  # an aborted call needs no farewell: nobody would answer it
            "-trace_stat", "-stf", directory / f"{file.stem}.stat", "-fd", "1", "-trace_err", "-error_file",
            directory / f"{file.stem}.err", "-cid_str", f"%u-%p-{file.stem}@%s"]


def _counts(directory, stem):
    """Successful and failed calls after the newest line of the statistics file."""
    try:
        rows = list(csv.DictReader(open(directory / f"{stem}.stat", encoding="utf-8"), delimiter=";"))
    except FileNotFoundError:
        return 0, 0
    last = rows[-1] if rows else {}
    return int(last.get("SuccessfulCall(C)") or 0), int(last.get("FailedCall(C)") or 0)


def _errors(directory, stem):
    try:
        return (directory / f"{stem}.err").read_text(errors="replace")[-1500:]
    except FileNotFoundError:
        return ""
