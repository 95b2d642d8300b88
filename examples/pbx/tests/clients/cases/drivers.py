"""The drivers themselves, without the PBX: an attacker that finds nothing anywhere, or a phone that hears a tone in
silence, would make every other case worthless."""

from lab import sipp, vicious
from lab.baresip import Phone
from lab.capture import Capture
from lab.case import case, expect, expect_equal
from lab.net import free_port, until
from lab.sip import Client
from lab.standin import Registrar

_WORDS = [f"guess{i}" for i in range(40)]


@case("baresip", pbx=False)
def driver_two_phones_hear_each_other(lab):
    """Two phones call each other directly: each hears the tone of the other, and none where there is silence."""
    caller = lab.keep(Phone(lab.folder("caller"), "1001", hertz=440))
    called = lab.keep(Phone(lab.folder("called"), "1002", hertz=0, address="127.0.0.2"))
    caller.dial(called.uri)
    caller.wait_for(10, "CALL_ESTABLISHED")
    until(lambda: called.hears(440) > 0.9, 10, "the tone of the caller")
    expect(called.hears(1000) < 0.1, "a tone is heard that nobody plays")
    expect(caller.hears(440) < 0.1, "a tone is heard in silence")
    caller.hang_up()
    called.wait_for(5, "CALL_CLOSED")


@case("baresip", pbx=False)
def driver_phone_tells_a_wrong_secret(lab):
    """A phone registers with the right secret, and says so when the secret is wrong."""
    registrar = lab.keep(Registrar({"1001": "right"}))
    good = lab.keep(Phone(lab.folder("good"), "1001", registrar.server, "right"))
    good.wait_for(5, "REGISTER_OK")
    bad = lab.keep(Phone(lab.folder("bad"), "1001", registrar.server, "wrong"))
    bad.wait_for(5, "REGISTER_FAIL")


@case("svcrack", pbx=False)
def driver_svcrack_finds_a_password(lab):
    """svcrack finds the password at a registrar without protection, and none where it is not in the list."""
    registrar = lab.keep(Registrar({"1001": "hunter2"}))
    found = vicious.crack(registrar.server, "1001", [*_WORDS, "hunter2"], lab.directory)
    expect_equal(found, "hunter2", "the password found")
    expect_equal(registrar.tries, len(_WORDS) + 1, "the tries that the registrar saw")
    expect_equal(vicious.crack(registrar.server, "1001", _WORDS, lab.directory), None, "the password found")


@case("svwar", pbx=False)
def driver_svwar_learns_from_a_leaking_registrar(lab):
    """svwar names the extensions of a registrar that answers 404 for the others, and none of one that does not."""
    users = {"1001": "a", "1004": "b"}
    leaking = lab.keep(Registrar(users, leaks=True))
    expect_equal(set(vicious.scan(leaking.server, "1000-1009", lab.directory)), set(users), "extensions learnt")
    silent = lab.keep(Registrar(users))
    expect_equal(vicious.scan(silent.server, "1000-1009", lab.directory, force=True), {}, "extensions learnt")


@case("sipp", pbx=False)
def driver_sipp_registers_and_calls(lab):
    """The SIPp scenarios follow the protocol: registration with a challenge, a challenged call, a wrong secret."""
    registrar = lab.keep(Registrar({"1001": "right"}))
    good = sipp.play("register", registrar.server, [("1001", sipp.login("1001", "right"))], lab.directory, calls=5)
    expect_equal((good.status, good.successful, registrar.accepted), (0, 5, 5), f"registrations {good}")
    bad = sipp.play("register", registrar.server, [("1001", sipp.login("1001", "wrong"))], lab.directory, calls=2)
    expect_equal((bad.successful, bad.failed), (0, 2), f"registrations with a wrong secret {bad}")
    gateway = lab.keep(sipp.Answering(lab.directory, scenario="challenge_answer"))
    row = ("1001", sipp.login("1001", "right"), "1002")
    calls = sipp.play("call", gateway.server, [row], lab.directory, calls=5, challenge=407)
    expect_equal((calls.status, calls.successful), (0, 5), f"calls {calls}")
    refused = sipp.play("refused", gateway.server, [row], lab.directory, challenge=407, status=403)
    expect_equal(refused.failed, 1, f"a call that is not refused, in the scenario that waits for it {refused}")


@case("tshark", pbx=False)
def driver_tshark_tells_malformed_sip(lab):
    """tshark finds the message without a colon and the one without Call-ID, and nothing wrong with a good one."""
    port = free_port()
    capture = lab.keep(Capture(lab.directory, port))
    with Client(("127.0.0.1", port)) as sender:
        good, _ = sender.build("OPTIONS", "sip:127.0.0.1")
        head, _, _ = good.partition(b"\r\n\r\n")
        sender.send_raw(good)
        sender.send_raw(head + b"\r\nno colon here\r\n\r\n")
        sender.send_raw(good.replace(b"Call-ID:", b"X-Call-ID:"))
        sender.send_raw(b"last")
        until(lambda: b"last" in capture.recorded, 10, "the last packet to be recorded")
        capture.stop()
        expect_equal((capture.sent(sender.port), len(capture.malformed(sender.port))), (3, 2), "messages, malformed ones")
