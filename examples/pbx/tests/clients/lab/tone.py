"""Tones: written to a file that a phone plays, found again in what another phone recorded."""

import math
import struct
import wave

RATE = 8000
"""Samples a second of telephone audio (G.711)."""


def write(path, hertz, seconds):
    """A mono 16-bit recording of a sine of `hertz`; 0 writes silence."""
    amplitude = 12000 if hertz else 0
    step = 2 * math.pi * hertz / RATE
    samples = (int(amplitude * math.sin(step * i)) for i in range(int(RATE * seconds)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"".join(struct.pack("<h", s) for s in samples))


def share(path, hertz):
    """The largest share of the energy (0 to 1) at `hertz` in any quarter second of a recording."""
    samples, rate = _samples(path)
    window = rate // 4
    if not window:
        return 0.0
    starts = range(0, len(samples) - window + 1, window)
    return max((_share(samples[s:s + window], hertz, rate) for s in starts), default=0.0)


def _samples(path):
    """The first channel of a 16-bit recording. The length in its header counts only once it is closed, so everything
    behind the start of the data is taken, and a recording that still grows can be heard."""
    with open(path, "rb") as f:
        raw = f.read()
    start = raw.find(b"data") + 8
    if start < 44:
        return (), RATE  # no header yet
    channels, rate = struct.unpack_from("<HI", raw, 22)
    whole = (len(raw) - start) // 2
    return struct.unpack_from(f"<{whole}h", raw, start)[::channels], rate


def _share(samples, hertz, rate):
    """Goertzel's algorithm: the energy of one frequency divided by that of the whole window."""
    factor = 2 * math.cos(2 * math.pi * hertz / rate)
    a = b = 0.0
    for s in samples:
        a, b = s + factor * a - b, a
    energy = sum(s * s for s in samples)
    if energy < len(samples) * 100:  # below -50 dB of full scale is silence: its noise has no tone
        return 0.0
    return (a * a + b * b - factor * a * b) * 2 / len(samples) / energy
