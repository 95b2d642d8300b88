"""Loopback ports that nobody uses, and waiting for a condition."""

import random
import socket
import time


class NotInTime(AssertionError):
    """A condition did not come true within its time."""


def free_port(address="127.0.0.1", width=1):
    """The first of `width` neighbouring ports that are free for UDP and TCP at `address`."""
    for _ in range(200):
        port = random.randrange(20000, 32000, 2)
        if all(_bindable(address, port + i) for i in range(width)):
            return port
    raise AssertionError(f"no {width} free neighbouring ports at {address}")


def _bindable(address, port):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def until(condition, seconds, what):
    """The first true value of `condition()`; asked again every few milliseconds, for at most `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NotInTime(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
