"""Attackers with real tools: each attack succeeds without our protection, and fails with it."""

import random
import threading
import time

from lab import vicious
from lab.case import case, expect, expect_equal
from lab.pbx import SECRETS, Pbx
from lab.sip import credentials
from lab.standin import Registrar

LIMIT = 10
"""Failures of one address at one account before it is locked out (feature C1; spec 2.2)."""

_WEAK = "summer2026"
_WORDS = [f"guess-{i:03}" for i in range(60)]
_ATTACKER, _PHONE = "127.0.0.1", "127.0.0.2"


class _SteadyPhone:
    """A phone that registers again and again, and remembers every answer that was not 200."""

    def __init__(self, pbx, user, secret, address):
        self.registrations, self.refusals = 0, []
        self._client = pbx.client(address)
        self._account = user, secret
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self):
        while not self._over.is_set():
            answer = self._client.register(*self._account)
            self.registrations += 1
            if answer is None or answer.status != 200:
                self.refusals.append(answer)
            self._over.wait(0.2)

    def close(self):
        self._over.set()
        self._thread.join(10)
        self._client.close()


def _crack(lab, pbx, seconds=20):
    return vicious.crack(pbx.server, "1001", [*_WORDS, _WEAK], lab.directory, seconds, _ATTACKER)


@case("svcrack")
def svcrack_without_protection_finds_the_password(lab):
    """The control arm: with protection switched off, svcrack finds a weak secret."""
    pbx = Pbx(lab, off=True, secrets={**SECRETS, "1001": _WEAK})
    expect_equal(_crack(lab, pbx), _WEAK, "the password that svcrack finds")


@case("svcrack")
def svcrack_with_protection_finds_nothing(lab):
    """svcrack finds nothing, exactly as many tries count as the rule says, and the phone elsewhere never notices."""
    pbx = Pbx(lab, auto_defence=False, secrets={**SECRETS, "1001": _WEAK})
    phone = lab.keep(_SteadyPhone(pbx, "1001", _WEAK, _PHONE))
    expect_equal(_crack(lab, pbx, seconds=8), None, "the password that svcrack finds")
    phone.close()
    expect_equal(pbx.failed_attempts("1001", _ATTACKER), LIMIT, "failed attempts that were counted")
    expect(phone.registrations >= 10, f"the phone registered only {phone.registrations} times")
    expect_equal(phone.refusals, [], "registrations of the phone elsewhere that were refused")
    with pbx.client(_ATTACKER) as client:
        answer = client.register("1001", _WEAK, seconds=2)
        expect(answer is None or answer.status != 200, "the right secret still works from the locked-out address")


@case("svcrack")
def a_flood_is_cut_off(lab):
    """With automatic defence, as it is by default, svcrack soon gets no answer at all; the phone elsewhere works."""
    pbx = Pbx(lab, secrets={**SECRETS, "1001": _WEAK})
    phone = lab.keep(_SteadyPhone(pbx, "1001", _WEAK, _PHONE))
    expect_equal(_crack(lab, pbx), None, "the password that svcrack finds")
    with pbx.client(_ATTACKER) as client:
        expect_equal(client.options(seconds=1.5), None, "the answer to the blocked address")
    phone.close()
    expect_equal(phone.refusals, [], "registrations of the phone elsewhere that were refused")


@case()
def the_lockout_is_exact(lab):
    """After nine wrong tries the right secret works and the count starts anew; after ten it does not work."""
    pbx = Pbx(lab, auto_defence=False)
    with pbx.client(_ATTACKER) as client:
        for round_ in range(2):
            _fail(client, "1001", LIMIT - 1)
            answer = client.register("1001", SECRETS["1001"])
            expect(answer and answer.status == 200, f"right secret after nine failures, round {round_}: {answer}")
        _fail(client, "1001", LIMIT)
        answer = client.register("1001", SECRETS["1001"], seconds=2)
        expect(answer is None or answer.status != 200, "the right secret works after ten failures")
        other = client.register("1002", SECRETS["1002"])
        expect(other and other.status == 200, f"another account from the same address: {other}")
    expect_equal(pbx.failed_attempts("1001", _ATTACKER), 3 * LIMIT - 2, "failed attempts that were counted")


@case()
def malformed_credentials_are_failed_attempts(lab):
    """Credentials that cannot be verified because they are malformed count like wrong ones."""
    pbx = Pbx(lab, auto_defence=False)
    with pbx.client(_ATTACKER) as client:
        for break_it in _MALFORMED:
            answer = client.register_once("1001", break_it(_wrong(client, "1001")))
            expect(answer and answer.status != 200, f"malformed credentials: {answer}")
        _fail(client, "1001", LIMIT - len(_MALFORMED))
        answer = client.register("1001", SECRETS["1001"], seconds=2)
        expect(answer is None or answer.status != 200, "the right secret works after ten failures")
    expect_equal(pbx.failed_attempts("1001", _ATTACKER), LIMIT, "failed attempts that were counted")


_MALFORMED = (
    lambda value: ", ".join(p for p in value.split(", ") if not p.startswith(("nc=", "cnonce="))),  # as svcrack does
    lambda value: value.replace("response=", "reply="),
    lambda value: value.replace('realm="', 'realm="x", realm="'),
    lambda value: value + ', opaque="never closed',
)


@case()
def challenges_alone_lock_nobody_out(lab):
    """Fifty requests without credentials are no failures: a phone that only asks stays welcome."""
    pbx = Pbx(lab, auto_defence=False)
    with pbx.client(_ATTACKER) as client:
        for _ in range(50):
            client.challenge("1001")
        answer = client.register("1001", SECRETS["1001"])
        expect(answer and answer.status == 200, f"right secret after fifty challenges: {answer}")
    expect_equal(pbx.failed_attempts("1001", _ATTACKER), 0, "failed attempts that were counted")


def _fail(client, user, times):
    for _ in range(times):
        answer = client.register_once(user, _wrong(client, user))
        expect(answer and answer.status in (401, 403), f"a wrong secret is answered with {answer}")


def _wrong(client, user):
    return credentials(client.challenge(user), user, "not-the-secret", "REGISTER", f"sip:{client.domain}")


@case("svwar")
def svwar_learns_no_extension(lab):
    """svwar learns nothing, whatever it asks with; from a registrar that leaks it learns what there is."""
    leaking = lab.keep(Registrar(SECRETS, leaks=True))
    expect_equal(set(vicious.scan(leaking.server, "1000-1009", lab.directory)), set(SECRETS), "learnt from the leak")
    for method in ("REGISTER", "OPTIONS", "INVITE"):
        pbx = Pbx(lab, auto_defence=False)
        learnt = vicious.scan(pbx.server, "1000-1009", lab.directory, force=True, method=method)
        expect_equal(learnt, {}, f"extensions learnt with {method}")


@case()
def unknown_and_known_accounts_answer_alike(lab):
    """An account that exists and one that does not get the same answers, challenge by challenge, failure by failure."""
    pbx = Pbx(lab, auto_defence=False)
    with pbx.client(_ATTACKER) as client:
        for attempt, status in ((_ask, 401), (_guess, 403)):
            known, unknown = attempt(client, "1001"), attempt(client, "4711")
            expect_equal(_shape(known), _shape(unknown), f"the shape of the answer to {attempt.__name__[1:]}")
            expect_equal(known.status, status, f"the answer to {attempt.__name__[1:]}")


def _ask(client, user):
    return client.register_once(user, None)


def _guess(client, user):
    return client.register_once(user, _wrong(client, user))


def _shape(message):
    """What an observer can compare: the status line, and each header with the changing values taken out."""
    steady = {"www-authenticate", "allow", "server", "content-length", "supported"}
    values = [[p if p.startswith(("realm", "qop", "algorithm", "stale")) else p.partition("=")[0]
               for p in v.replace("Digest ", "").split(", ")] if n in steady else None for n, v in message.headers]
    return message.start, [n for n, _ in message.headers], values


@case(seconds=90)
def garbage_never_stops_the_service(lab):
    """Noise, cut and damaged SIP of every kind; afterwards a phone elsewhere registers as if nothing had been."""
    pbx = Pbx(lab)
    rng = random.Random(20260301)
    with pbx.client(_ATTACKER) as attacker, pbx.client(_PHONE) as phone:
        for data in _garbage(attacker, rng):
            attacker.send_raw(data)
            if rng.random() < 0.02:
                time.sleep(0.001)  # the socket's buffer would drop what comes faster
        expect(pbx.child.running, f"the PBX ended:\n{pbx.log[-1500:]}")
        answer = phone.register("1002", SECRETS["1002"])
        expect(answer and answer.status == 200, f"registration after the garbage: {answer}")
    expect("panicked" not in pbx.log, f"something panicked:\n{pbx.log[-1500:]}")


def _garbage(client, rng):
    yield from (b"", b"\r\n\r\n", b"\0" * 1200, b"A" * 65000, b"SIP/2.0 200 OK\r\n\r\n", b"INVITE sip:")
    good, _ = client.build("REGISTER", "sip:127.0.0.1", user="1001",
                           extra=['Authorization: Digest username="1001", realm="x", nonce="y", uri="z", response="0"'])
    yield from (good[:n] for n in range(0, len(good), 3))
    for _ in range(3000):
        yield _damaged(good, rng)
    for _ in range(1000):
        yield rng.randbytes(rng.randrange(1, 1400))
    yield good.replace(b"Max-Forwards: 70", b"Via: SIP/2.0/UDP a;branch=z9hG4bKa\r\n" * 900 + b"Max-Forwards: 70")
    yield good.replace(b"Content-Length: 0", b"Content-Length: 99999999999999999999")
    yield good.replace(b"CSeq: 1 ", b"CSeq: 4294967296 ")


def _damaged(data, rng):
    out = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)
