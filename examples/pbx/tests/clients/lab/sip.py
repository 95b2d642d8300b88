"""A small SIP client and message reader (RFC 3261), independent of the code under test."""

import hashlib
import os
import re
import socket
import time

from .net import NotInTime

T1 = 0.5
"""Seconds before the first retransmission (RFC 3261 section 17.1.1.1)."""


class Message:
    """A received message: `status` is None for a request, `method` is None for a response."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("utf-8", "replace").split("\r\n")
        self.start = first
        self.status = int(first.split(" ")[1]) if first.startswith("SIP/2.0 ") else None
        self.method = None if self.status else first.split(" ")[0]
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines)]

    def all(self, name):
        """The values of every header of that name."""
        return [v for n, v in self.headers if n == name.lower()]

    def header(self, name):
        """The first value of that header; empty where there is none."""
        return next(iter(self.all(name)), "")

    @property
    def challenges(self):
        """The parameters of every digest challenge, in the order sent."""
        values = self.all("www-authenticate") + self.all("proxy-authenticate")
        return [parameters(v) for v in values if v.lower().startswith("digest ")]

    def __repr__(self):
        return f"<{self.start}>"


def parameters(value):
    """The `name=value` pairs of a challenge or of credentials, quotes taken off."""
    pairs = re.findall(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', value)
    return {name.lower(): quoted or bare for name, quoted, bare in pairs}


_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def credentials(challenge, user, secret, method, uri, count=1, cnonce=None):
    """The Authorization value that answers `challenge` (RFC 7616 section 3.4), for qop=auth or none."""
    algorithm = challenge.get("algorithm", "MD5")
    realm, nonce = challenge["realm"], challenge["nonce"]
    cnonce = cnonce or os.urandom(8).hex()
    response = digest(algorithm, user, realm, secret, method, uri, nonce, f"{count:08x}", cnonce, "qop" in challenge)
    value = (f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
             f'response="{response}", algorithm={algorithm}')
    if "qop" in challenge:
        value += f', qop=auth, nc={count:08x}, cnonce="{cnonce}"'
    if "opaque" in challenge:
        value += f', opaque="{challenge["opaque"]}"'
    return value


def digest(algorithm, user, realm, secret, method, uri, nonce, count, cnonce, qop):
    """The response of a digest challenge (RFC 7616 section 3.4.1, RFC 2069 where there is no qop)."""
    def h(text):
        return _HASHES[algorithm](text.encode()).hexdigest()
    middle = [nonce, count, cnonce, "auth"] if qop else [nonce]
    return h(":".join([h(f"{user}:{realm}:{secret}"), *middle, h(f"{method}:{uri}")]))


class Client:
    """One UDP socket that asks a server, with retransmission."""

    def __init__(self, server, address="127.0.0.1", port=0):
        self.server = server
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.address, self.port = self.socket.getsockname()
        self.domain = server[0]
        self.contact = self.address, self.port
        self._cseq = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data):
        self.socket.sendto(data, self.server)

    def build(self, method, uri, user="probe", to=None, extra=(), body=b"", call=None):
        """The bytes of a request outside a dialog, and its branch."""
        self._cseq += 1
        branch = "z9hG4bK" + os.urandom(8).hex()
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: SIP/2.0/UDP {self.address}:{self.port};branch={branch};rport",
                 "Max-Forwards: 70",
                 f"From: <sip:{user}@{self.domain}>;tag={os.urandom(4).hex()}",
                 f"To: <{to or uri}>",
                 f"Call-ID: {call or os.urandom(8).hex()}",
                 f"CSeq: {self._cseq} {method}",
                 f"Contact: <sip:{user}@{self.contact[0]}:{self.contact[1]}>",
                 "User-Agent: client-tests",
                 *extra,
                 f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body, branch

    def ask(self, method, uri, seconds=4.0, **parts):
        """The final response to a request; None where there is only silence for `seconds`."""
        data, branch = self.build(method, uri, **parts)
        end = time.monotonic() + seconds
        pause = T1
        while (left := end - time.monotonic()) > 0:
            self.send_raw(data)
            answer = self._answer(branch, min(pause, left))
            if answer:
                return answer
            pause *= 2
        return None

    def _answer(self, branch, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            message = self.receive(left)
            if message and message.status and message.status >= 200 and branch in message.header("via"):
                return message
        return None

    def receive(self, seconds):
        """The next message; None where none comes within `seconds`."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            return Message(self.socket.recvfrom(65536)[0])
        except (TimeoutError, ConnectionRefusedError):
            return None

    def options(self, seconds=4.0):
        return self.ask("OPTIONS", f"sip:{self.domain}", seconds)

    def register(self, user, secret, expires=60, seconds=4.0, algorithm="MD5"):
        """Registers as a phone does: asks, answers the challenge, returns the last response (None: silence)."""
        call = os.urandom(8).hex()
        first = self.register_once(user, None, expires, seconds, call)
        if first is None or first.status != 401:
            return first
        challenge = next(c for c in first.challenges if c.get("algorithm", "MD5") == algorithm)
        value = credentials(challenge, user, secret, "REGISTER", f"sip:{self.domain}")
        return self.register_once(user, value, expires, seconds, call)

    def register_once(self, user, authorization, expires=60, seconds=4.0, call=None):
        """One REGISTER with that Authorization value, or without any."""
        extra = [f"Expires: {expires}"]
        if authorization is not None:
            extra.append(f"Authorization: {authorization}")
        return self.ask("REGISTER", f"sip:{self.domain}", seconds, user=user, to=f"sip:{user}@{self.domain}",
                        extra=extra, call=call)

    def challenge(self, user, seconds=4.0):
        """A fresh MD5 challenge for `user`."""
        answer = self.register_once(user, None, seconds=seconds)
        if answer is None or answer.status != 401:
            raise AssertionError(f"asked for a challenge, got {answer}")
        return next(c for c in answer.challenges if c.get("algorithm", "MD5") == "MD5")


def wait_ready(server, seconds=10.0, alive=lambda: True):
    """Returns once the server answers an OPTIONS request."""
    end = time.monotonic() + seconds
    with Client(server) as probe:
        while time.monotonic() < end:
            if not alive():
                raise AssertionError("the server ended before it answered")
            if probe.options(seconds=0.3):
                return
    raise NotInTime(f"no answer to OPTIONS from {server[0]}:{server[1]} within {seconds:g} s")
