"""The service itself: it answers a probe, and it ends when it is told to."""

import signal
import subprocess
import time

from lab.case import case, expect, expect_equal
from lab.pbx import SECRETS, Pbx


@case("sipsak")
def sipsak_says_the_service_is_up(lab):
    """sipsak, the probe of many monitoring systems, gets its answer and registers; a wrong secret is told apart."""
    pbx = Pbx(lab)
    probe = ["sipsak", "-s", f"sip:127.0.0.1:{pbx.port}"]
    expect_equal(_status(probe), 0, "the exit status of a probe")
    register = ["sipsak", "-U", "-C", "sip:1001@127.0.0.1:9", "-x", "60", "-s", f"sip:1001@127.0.0.1:{pbx.port}", "-u",
                "1001", "-a"]
    expect_equal(_status([*register, SECRETS["1001"]]), 0, "the exit status of a registration")
    expect(_status([*register, "not-the-secret"]) != 0, "a wrong secret registers")
    pbx.child.terminate()
    expect(_status(probe) != 0, "a service that has ended is said to be up")


def _status(argv):
    return subprocess.run(argv, capture_output=True, timeout=45, check=False).returncode


@case()
def sigterm_ends_it_cleanly(lab):
    """SIGTERM ends it at once with status 0, and the port is free for the next start, which keeps the secrets."""
    _ends_cleanly(lab, signal.SIGTERM)


@case()
def sigint_ends_it_cleanly(lab):
    """So does the key press."""
    _ends_cleanly(lab, signal.SIGINT)


def _ends_cleanly(lab, number):
    pbx = Pbx(lab)
    with pbx.client() as client:
        client.register("1001", SECRETS["1001"])
    start = time.monotonic()
    pbx.child.process.send_signal(number)
    expect_equal(pbx.child.wait(5), 0, "the exit status")
    expect(time.monotonic() - start < 3, "it took its time")
    pbx.start()
    with pbx.client() as client:
        answer = client.register("1001", SECRETS["1001"])
        expect(answer and answer.status == 200, f"registration after the restart: {answer}")


@case()
def secrets_are_in_no_log(lab):
    """Neither a secret nor what a digest is made of can be read in the log, however much is logged."""
    pbx = Pbx(lab)
    with pbx.client() as client:
        client.register("1001", SECRETS["1001"])
        client.register("1001", "a-wrong-secret")
    expect(pbx.log, "nothing is logged at all")
    for secret in (*SECRETS.values(), "a-wrong-secret"):
        expect(secret not in pbx.log, "a secret stands in the log")


@case()
def two_on_one_port(lab):
    """A second PBX on the same port says so and ends; the first goes on."""
    pbx = Pbx(lab)
    done = subprocess.run(pbx.command, capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode != 0, "two listen on one port")
    expect(str(pbx.port) in done.stderr, f"the message does not name the port: {done.stderr!r}")
    with pbx.client() as client:
        expect(client.options(), "the first no longer answers")
