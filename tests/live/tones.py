"""Tones: made for a microphone, measured in what somebody heard.

A live test proves sound by frequency: each side plays a tone of its own, and what the other side recorded
must have its energy there.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
"""One channel, -1 to 1."""


def write_tone(path: Path, hertz: float, seconds: float = 2.0, rate: int = 48000, level: float = 0.5) -> Path:
    """A mono WAV file with a sine tone. A whole number of periods, so that it can be played in a loop."""
    length = round(round(seconds * hertz) / hertz * rate)
    samples = np.sin(2 * np.pi * hertz * np.arange(length) / rate) * level * 32767
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> tuple[Samples, int]:
    """The first channel of a 16-bit WAV file, and its sample rate."""
    with wave.open(str(path), "rb") as source:
        if source.getsampwidth() != 2:
            raise ValueError(f"{path.name}: {8 * source.getsampwidth()} bits per sample, not 16")
        frames = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        return frames[:: source.getnchannels()].astype(np.float64) / 32768, source.getframerate()


def read_growing(path: Path, seconds: float = 0.5, rate: int = 8000) -> tuple[Samples, int]:
    """The latest `seconds` of a recording that still goes on, whose header is not complete: 16 bit, one channel."""
    sound = path.read_bytes()[44:]
    length = min(int(seconds * rate), len(sound) // 2)
    start = len(sound) // 2 - length
    return np.frombuffer(sound, "<i2", length, 2 * start).astype(np.float64) / 32768, rate


def dominant(samples: Samples, rate: int) -> float:
    """The strongest frequency in hertz; 0 for silence or less than a tenth of a second.

    The peak of the windowed spectrum, interpolated between bins: exact to about a hertz from half a second on.
    """
    if len(samples) < rate // 10 or float(np.max(np.abs(samples))) < 0.005:
        return 0.0
    spectrum = np.abs(np.fft.rfft((samples - samples.mean()) * np.hanning(len(samples))))
    peak = int(np.argmax(spectrum))
    if not 0 < peak < len(spectrum) - 1:
        return peak * rate / len(samples)
    left, middle, right = (float(value) for value in np.log(spectrum[peak - 1 : peak + 2] + 1e-12))
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return (peak + shift) * rate / len(samples)


def purity(samples: Samples, rate: int, hertz: float) -> float:
    """The share of the energy within 20 Hz of `hertz`, 0 to 1: a torn or clipped tone has less."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    total = float(spectrum.sum())
    return float(spectrum[np.abs(frequencies - hertz) <= 20].sum()) / total if total else 0.0


def heard(path: Path, skip: float = 0.3) -> float:
    """The dominant frequency of a recording, without its first `skip` seconds (connection, first packets)."""
    samples, rate = read_wav(path)
    return dominant(samples[int(skip * rate) :], rate)
