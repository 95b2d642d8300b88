"""A registrar without any protection: the control arm that proves that the attack drivers attack."""

import os
import socket
import threading

from .net import free_port
from .sip import Message, digest, parameters


class Registrar:
    """Checks digests, counts nothing, blocks nobody.

    `leaks`: answers 404 for a user it does not know, as a careless registrar does.
    `algorithms`: what it offers, one challenge each, in this order.
    """

    def __init__(self, users, leaks=False, algorithms=("MD5",), realm="stand-in", address="127.0.0.1"):
        self.users, self.leaks, self.algorithms, self.realm = users, leaks, algorithms, realm
        self.requests = self.tries = self.accepted = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.server = (address, free_port(address))
        self.socket.bind(self.server)
        self._nonces = set()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                data, source = self.socket.recvfrom(65536)
            except OSError:
                return
            try:
                message = Message(data)
                answer = self._answer(message, source) if message.method else None
            except (ValueError, KeyError, IndexError):
                continue  # not SIP: a careless server is silent, too
            if answer:
                self.socket.sendto(answer, source)

    def _answer(self, request, source):
        self.requests += 1
        if request.method == "OPTIONS":
            return self._respond(request, source, "200 OK")
        if request.method != "REGISTER":
            return self._respond(request, source, "405 Method Not Allowed")
        user = _user(request.header("to"))
        if self.leaks and user not in self.users:
            return self._respond(request, source, "404 Not Found")
        if not request.header("authorization"):
            return self._challenge(request, source)
        self.tries += 1
        if not self._verified(user, request):
            return self._challenge(request, source)
        self.accepted += 1
        return self._respond(request, source, "200 OK", [f"Contact: {request.header('contact')};expires=60"])

    def _verified(self, user, request):
        given = parameters(request.header("authorization"))
        secret = self.users.get(user)
        if secret is None or given.get("nonce") not in self._nonces or "nc" not in given:
            return False
        expected = digest(given.get("algorithm", "MD5"), user, self.realm, secret, "REGISTER", given["uri"],
                          given["nonce"], given["nc"], given["cnonce"], True)
        return expected == given["response"]

    def _challenge(self, request, source):
        nonce = os.urandom(12).hex()
        self._nonces.add(nonce)
        values = [f'WWW-Authenticate: Digest realm="{self.realm}", nonce="{nonce}", algorithm={a}, qop="auth"'
                  for a in self.algorithms]
        return self._respond(request, source, "401 Unauthorized", values)

    def _respond(self, request, source, status, extra=()):
        via = request.header("via").replace(";rport", f";received={source[0]};rport={source[1]}")
        to = request.header("to")
        lines = [f"SIP/2.0 {status}", f"Via: {via}", f"From: {request.header('from')}",
                 f"To: {to}" + ("" if "tag=" in to else ";tag=" + os.urandom(4).hex()),
                 f"Call-ID: {request.header('call-id')}", f"CSeq: {request.header('cseq')}",
                 "Server: stand-in", *extra, "Content-Length: 0"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _user(to):
    return to.partition("sip:")[2].partition("@")[0]
