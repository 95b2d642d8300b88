"""SIPVicious: the password cracker and the extension scanner that attackers really use.

Both exit with 0 whatever happened, so what they found is read from the table that they print.
"""

import re
import shutil

from .process import Child


def crack(server, user, words, directory, seconds=30, address="127.0.0.1"):
    """The password that svcrack finds for `user` among `words`, or None."""
    dictionary = directory / f"words-{user}"
    dictionary.write_text("\n".join(words) + "\n")
    output = _run("svcrack", server, ["-u", user, "-d", dictionary], directory, seconds, address)
    return _rows(output).get(user)


def scan(server, extensions, directory, seconds=30, address="127.0.0.1", force=False, method="REGISTER"):
    """The extensions that svwar believes to exist, with what it says about each."""
    arguments = ["-e", extensions, "-m", method] + (["--force"] if force else [])
    return _rows(_run("svwar", server, arguments, directory, seconds, address))


def _run(tool, server, arguments, directory, seconds, address):
    """Bound in time: against a server that goes on refusing, svcrack would ask for ever."""
    # Binding (-b) spares ten seconds of looking for the machine's own name.
    program = shutil.which(tool) or shutil.which(f"sipvicious_{tool}")
    child = Child([program, "-b", address, "-p", server[1], "--maximumtime", "1", *arguments, server[0]],
                  directory / f"{tool}.log", cwd=directory)
    try:
        child.wait(seconds)
    finally:
        child.close()
    if "Traceback" in child.output:  # a tool that broke has not found "nothing"
        raise AssertionError(f"{tool} itself failed: {child.output.strip().splitlines()[-1]}")
    return child.output


def _rows(output):
    """The two-column table: extension, then password or kind of answer."""
    rows = re.findall(r"^\|\s*(\S+)\s*\|\s*(\S+)\s*\|\s*$", output, re.MULTILINE)
    return {left: right for left, right in rows if left != "Extension"}
