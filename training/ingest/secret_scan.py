"""Whether a file holds a secret, by the detectors of `detect-secrets`, asked only about lines that could.

Every detector over every line takes tens of milliseconds a file. So a line is looked at only where it has a long
run of letters and digits, what keys of known services begin with, a password in a URL or the head of a private
key. That misses passwords that are plain words, on purpose: in code they are almost always examples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector

from training.ingest.byte_classes import ByteClasses

SHORTEST = 16
LONGEST_LINE = 2000

# Addresses are redacted instead; two take any word for a secret; two are stricter here, below.
_LEFT_OUT = {
    "IPPublicDetector",
    "IbmCloudIamDetector",
    "ArtifactoryDetector",
    "PrivateKeyDetector",
    "BasicAuthDetector",
}
_PRIVATE_KEY = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----[\s\\n'\"+]*[A-Za-z0-9+/=]{40}"
)
# Keys of these services may have no digit at all, so that they do not look random.
_KEY_HEAD = re.compile(
    rb"(?:A3T|ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}|gh[opusr]_[A-Za-z0-9]{16}|gl[a-z]{2,5}-[\w-]{16}|[rs]k_live_|SG\.\w{16}"
)
_URL_PASSWORD = re.compile(r"://[^\s/:@'\"\[\]]{1,64}:[^\s/:@'\"\[\]]{1,64}@")
_EXAMPLE = re.compile(
    r"example|placeholder|dummy|changeme|x{4}|\*{3}|<[^>]*>|\{[^}]*\}|\$|%\w|0123456|1234567", re.I
)
_URL_EXAMPLE = re.compile(
    r"//(?:u\w{0,11}|\w*name|foo|me|a|b|alice|bob|admin|root|guest|scott|test\w*|joe|login):|"
    r":(?:p\w{0,3}|pass\w*|pw\w*|secret|hunter2|bar|b|c|test\w*|tiger|guest|admin|root)@|@(?:localhost|127|\[)",
    re.I,
)


class SecretScanner:
    """Holds the detectors; they are pure, so one scanner serves any number of files."""

    def __init__(self) -> None:
        plugins: list[Any] = list(get_mapping_from_secret_type_to_class().values())
        self._detectors = [
            (str(plugin.secret_type), pattern)
            for plugin in plugins
            if issubclass(plugin, RegexBasedDetector) and plugin.__name__ not in _LEFT_OUT
            for pattern in plugin().denylist
        ]

    def find(self, text: str, classes: ByteClasses) -> str | None:
        """What kind of secret the file holds, or None. `classes` are those of the same text."""
        if "PRIVATE KEY" in text and (key := _PRIVATE_KEY.search(text)) and not _EXAMPLE.search(key[0]):
            return "Private Key"
        if "://" in text and any(_is_real_login(match[0]) for match in _URL_PASSWORD.finditer(text)):
            return "Basic Auth Credentials"
        return next((kind for line in _suspects(classes) if (kind := self._of_line(line))), None)

    def _of_line(self, line: str) -> str | None:
        for kind, pattern in self._detectors:
            if (match := pattern.search(line)) and not _EXAMPLE.search(match[0]) and _is_random(match[0]):
                return kind
        return None


def _is_real_login(url: str) -> bool:
    return not _EXAMPLE.search(url) and not _URL_EXAMPLE.search(url)


def _is_random(secret: str) -> bool:
    return len(set(secret)) >= 10


def _suspects(classes: ByteClasses) -> Iterator[str]:
    """The lines with a run or a head that could be a key's; of a very long line, what stands around the run."""
    data, end = classes.data, 0
    heads = [match.start() for match in _KEY_HEAD.finditer(data)]
    for place in sorted(classes.random_looking(shortest=SHORTEST) + heads):
        if place < end:
            continue
        start = max(data.rfind(b"\n", 0, place) + 1, place - LONGEST_LINE // 2)
        end = data.find(b"\n", place)
        end = min(len(data) if end < 0 else end, place + LONGEST_LINE)
        yield data[start:end].decode("utf-8", "replace")
