"""What a case is: a function that raises when what it proves is not so."""

import contextlib
import shutil

REGISTERED = []
"""Every case, in the order in which the files define them."""


class Skip(Exception):
    """The case cannot run here; the text says what is missing."""


def case(*tools, pbx=True, seconds=60):
    """Makes a function a case. It needs these programs, the PBX itself where `pbx`, and at most `seconds`."""
    def register(function):
        function.tools, function.pbx, function.seconds = tools, pbx, seconds
        REGISTERED.append(function)
        return function
    return register


def missing(wanted, binary):
    """What this machine lacks for the case; empty where it has everything."""
    lacking = [t for t in wanted.tools if not (shutil.which(t) or shutil.which(f"sipvicious_{t}"))]
    if wanted.pbx and binary is None:
        lacking.append("the pbx binary")
    return ", ".join(lacking)


class Lab(contextlib.ExitStack):
    """What a case works with: a folder of its own, and everything it starts is ended with it."""

    def __init__(self, directory, binary):
        super().__init__()
        self.directory, self.binary = directory, binary

    def keep(self, thing):
        """Closes `thing` when the case ends, and hands it back."""
        return self.enter_context(contextlib.closing(thing))

    def folder(self, name):
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def expect(condition, what):
    """An assertion that Python's -O cannot switch off."""
    if not condition:
        raise AssertionError(what)


def expect_equal(got, wanted, what):
    expect(got == wanted, f"{what}: {got!r}, not {wanted!r}")
