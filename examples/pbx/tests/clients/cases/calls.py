"""Calls between real phones, and over a trunk that SIPp plays."""

from lab import sipp, vicious
from lab.baresip import Phone
from lab.capture import Capture
from lab.case import case, expect, expect_equal
from lab.net import free_port, until
from lab.pbx import CALL_CHALLENGE, SECRETS, Pbx

_CALLER = ("1001", sipp.login("1001", SECRETS["1001"]))


def _phone(lab, pbx, user, hertz, address="127.0.0.1"):
    phone = lab.keep(Phone(lab.folder(f"phone-{user}"), user, pbx.server, SECRETS[user], hertz, address))
    phone.wait_for(10, "REGISTER_OK")
    return phone


@case("baresip")
def two_phones_call_each_other(lab):
    """Two phones register, one calls the other, each hears the tone of the other and nothing else."""
    pbx = Pbx(lab)
    caller = _phone(lab, pbx, "1001", 440)
    called = _phone(lab, pbx, "1002", 1000, "127.0.0.2")
    caller.dial("1002")
    caller.wait_for(15, "CALL_ESTABLISHED")
    called.wait_for(5, "CALL_ESTABLISHED")
    until(lambda: called.hears(440) > 0.9 and caller.hears(1000) > 0.9, 10, "both tones at the other end")
    expect(called.hears(700) < 0.1 and caller.hears(700) < 0.1, "a tone is heard that nobody plays")
    called.hang_up()
    caller.wait_for(5, "CALL_CLOSED")


@case("baresip")
def silence_stays_silence(lab):
    """The control arm: a phone that plays silence is heard as silence, although the call is the same."""
    pbx = Pbx(lab)
    caller = _phone(lab, pbx, "1001", 0)
    called = _phone(lab, pbx, "1002", 1000)
    caller.dial("1002")
    caller.wait_for(15, "CALL_ESTABLISHED")
    until(lambda: caller.hears(1000) > 0.9, 10, "the tone of the called phone")
    expect(called.hears(440) < 0.1 and called.hears(1000) < 0.1, "a tone is heard in silence")
    caller.hang_up()
    called.wait_for(5, "CALL_CLOSED")


@case("baresip")
def the_caller_can_give_up(lab):
    """A call that is cancelled while it rings ends at both phones, and the next call works."""
    pbx = Pbx(lab)
    caller = _phone(lab, pbx, "1001", 440)
    folder = lab.folder("ringing")
    ringing = lab.keep(Phone(folder, "1002", pbx.server, SECRETS["1002"], answer="manual"))
    ringing.wait_for(10, "REGISTER_OK")
    caller.dial("1002")
    ringing.wait_for(10, "CALL_INCOMING")
    caller.wait_for(5, "CALL_RINGING")
    caller.hang_up()
    ringing.wait_for(5, "CALL_CLOSED")
    caller.wait_for(5, "CALL_CLOSED")
    called = _phone(lab, pbx, "1003", 1000)
    caller.dial("1003")
    caller.wait_for(10, "CALL_ESTABLISHED")
    called.wait_for(5, "CALL_ESTABLISHED")


@case("sipp")
def sipp_registers_many_times(lab):
    """Registrations with a challenge, twenty a second: more packets than automatic defence grants a stranger, but
    the first registration makes the address a known one. A wrong secret never gets in."""
    pbx = Pbx(lab)
    rows = [(user, sipp.login(user, secret)) for user, secret in SECRETS.items()]
    good = sipp.play("register", pbx.server, rows, lab.directory, calls=60, rate=20)
    expect_equal((good.status, good.successful, good.failed), (0, 60, 0), f"registrations {good}")
    bad = sipp.play("register", pbx.server, [("1001", sipp.login("1001", "not-the-secret"))], lab.directory, calls=2,
                    seconds=8)
    expect_equal(bad.successful, 0, f"registrations with a wrong secret {bad}")


@case("sipp", "tshark")
def sipp_calls_an_extension(lab):
    """Calls from extension to extension, set up and torn down; nothing malformed is sent."""
    pbx = Pbx(lab)
    answering = lab.keep(sipp.Answering(lab.directory))
    _register_for(pbx, "1002", answering.server)
    capture = lab.keep(Capture(lab.directory, pbx.port))
    calls = _dial(lab, pbx, "1002", calls=10, rate=5)
    expect_equal((calls.status, calls.successful), (0, 10), f"calls {calls}")
    until(lambda: answering.answered == 10, 5, "ten finished calls at the called side")
    capture.stop()
    expect(capture.sent(pbx.port) >= 60, f"only {capture.sent(pbx.port)} messages of the PBX were recorded")
    expect_equal(capture.malformed(pbx.port), [], "malformed messages of the PBX")


def _dial(lab, pbx, number, scenario="call", **how):
    """1001 dials the number through the PBX, from SIPp."""
    return sipp.play(scenario, pbx.server, [(*_CALLER, number)], lab.directory, dialled=number, challenge=CALL_CHALLENGE,
                     **how)


def _register_for(pbx, user, server):
    """Registers on behalf of SIPp's answering side, whose Contact is its own address."""
    with pbx.client(address=server[0]) as client:
        client.contact = server
        answer = client.register(user, SECRETS[user], expires=120)
        expect(answer and answer.status == 200, f"registration of {user}: {answer}")


@case("sipp")
def calls_leave_over_the_trunk(lab):
    """Allowed calls reach the provider's gateway with the number they were made to."""
    gateway = lab.keep(sipp.Answering(lab.directory))
    pbx = Pbx(lab, trunk=gateway.server)
    numbers = ["0301234567", "00441632960123"]
    for number in numbers:
        call = _dial(lab, pbx, number)
        expect_equal((call.status, call.successful), (0, 1), f"the call to {number} {call}")
    expect_equal(gateway.called, numbers, "numbers that the gateway was asked for")


@case("sipp")
def calls_come_in_over_the_trunk(lab):
    """A call that the provider delivers to a direct number rings the extension; the same call from anybody else is
    asked for credentials, and one to a number nobody has is refused."""
    provider = ("127.0.0.1", free_port())
    pbx = Pbx(lab, trunk=provider)
    answering = lab.keep(sipp.Answering(lab.directory))
    _register_for(pbx, "1002", answering.server)
    row = ("+441632960123", "+493012341002")
    good = sipp.play("trunk_call", pbx.server, [row], lab.directory, port=provider[1])
    expect_equal((good.status, good.successful), (0, 1), f"the call of the provider {good}")
    until(lambda: answering.answered == 1, 5, "the call at the extension")
    for address, number, status in (("127.0.0.2", row[1], 401), ("127.0.0.1", "+493099999999", 404)):
        port = provider[1] if address == provider[0] else 0
        with pbx.client(address, port) as client:
            answer = client.ask("INVITE", f"sip:{number}@127.0.0.1", user=row[0])
            expect(answer and answer.status == status, f"the call to {number} from {address}: {answer}")
    expect_equal(answering.answered, 1, "calls at the extension")


@case("baresip", "svcrack")
def a_call_survives_an_attack(lab):
    """While two phones talk, one of them on the attacker's own address, svcrack guesses the password of the other
    from there: it finds nothing, and both tones are still heard afterwards."""
    pbx = Pbx(lab)
    caller = _phone(lab, pbx, "1001", 440)
    called = _phone(lab, pbx, "1002", 1000, "127.0.0.2")
    caller.dial("1002")
    caller.wait_for(15, "CALL_ESTABLISHED")
    words = [f"wrong-{i}" for i in range(60)]
    expect_equal(vicious.crack(pbx.server, "1002", words, lab.directory, seconds=8), None, "the password that svcrack found")
    expect(pbx.failed_attempts("1002", "127.0.0.1") > 0, "svcrack has not guessed at all")
    until(lambda: called.hears(440) > 0.9 and caller.hears(1000) > 0.9, 10, "both tones after the attack")
    called.hang_up()
    caller.wait_for(5, "CALL_CLOSED")


@case()
def phones_register_with_sha_256(lab):
    """Where SHA-256 is offered it comes first (RFC 8760), and both algorithms get a phone in."""
    pbx = Pbx(lab, digest=("SHA-256", "MD5"))
    with pbx.client() as client:
        offered = [c["algorithm"] for c in client.register_once("1001", None).challenges]
        expect_equal(offered, ["SHA-256", "MD5"], "algorithms on offer")
        for algorithm in offered:
            answer = client.register("1001", SECRETS["1001"], algorithm=algorithm)
            expect(answer and answer.status == 200, f"registration with {algorithm}: {answer}")


@case("sipp")
def a_forbidden_country_is_refused(lab):
    """A call to a country that is not allowed gets 403 and never reaches the gateway; once it is, it does."""
    gateway = lab.keep(sipp.Answering(lab.directory))
    number = "00541145678901"
    pbx = Pbx(lab, trunk=gateway.server)
    refused = _dial(lab, pbx, number, scenario="refused", status=403)
    expect_equal((refused.status, refused.successful), (0, 1), f"the refused call {refused}")
    expect_equal(gateway.called, [], "numbers that the gateway was asked for")
    allowing = Pbx(lab, trunk=gateway.server, countries=["AR"])
    through = _dial(lab, allowing, number)
    expect_equal((through.successful, gateway.called), (1, [number]), f"the call to an allowed country {through}")


@case("sipp")
def emergency_calls_always_pass(lab):
    """112 passes from an extension that may not make outbound calls, which is refused everything else."""
    gateway = lab.keep(sipp.Answering(lab.directory))
    pbx = Pbx(lab, trunk=gateway.server, extension="outbound = false")
    refused = _dial(lab, pbx, "0301234567", scenario="refused", status=403)
    expect_equal(refused.successful, 1, f"the refused call {refused}")
    for number in ("112", "0112"):
        call = _dial(lab, pbx, number)
        expect_equal((call.status, call.successful), (0, 1), f"the call to {number} {call}")
    expect_equal(len(gateway.called), 2, "emergency calls at the gateway")
    expect(pbx.events("emergency_call_dialed_out"), "no event tells of the emergency call")


@case("sipp")
def a_locked_out_phone_reaches_112(lab):
    """Ten wrong secrets lock a phone's address out of its account; from where it is registered 112 still passes, and
    nothing else does. Elsewhere nobody calls 112 in its name without credentials."""
    gateway = lab.keep(sipp.Answering(lab.directory))
    pbx = Pbx(lab, trunk=gateway.server, auto_defence=False)
    with pbx.client("127.0.0.3") as phone, pbx.client("127.0.0.4") as stranger:
        answer = phone.register("1001", SECRETS["1001"])
        expect(answer and answer.status == 200, f"registration: {answer}")
        for _ in range(10):
            phone.register("1001", "not-the-secret")
        locked = phone.register("1001", SECRETS["1001"])
        expect(not locked or locked.status == 403, f"the lock does not hold: {locked}")
        for client, number, status in ((phone, "112", 200), (phone, "0301234567", 403), (stranger, "112", 401)):
            answer = client.ask("INVITE", f"sip:{number}@127.0.0.1", user="1001")
            expect(answer and answer.status == status, f"the call to {number}: {answer}, not {status}")
    expect_equal(gateway.called, ["112"], "numbers that the gateway was asked for")
