"""The token of those who may halt and resume over HTTP: a file that its owner alone can read.

The worker keeps a digest and compares digests, so that neither a dump of its memory nor the time that
an answer takes tells the token. The file is looked at before each use: a new token holds at once, and a
file that was removed or opened to others ends the control.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from config.secret_file import CREDENTIALS_DIRECTORY, SecretFileError, read_secret

KEY = "execution.http.token_file"
CHARACTERS_MIN, CHARACTERS_MAX = 32, 512
# Fewer different characters are a row of one key, not a token.
VARIETY_MIN = 10
MAKE_ONE = 'make one with (umask 077; python3 -c "import secrets; print(secrets.token_urlsafe(32))" > FILE)'
# What may stand in a header.
_TOKEN = re.compile(r"[A-Za-z0-9+/=_.~-]+")

_Mark = tuple[int, ...]


def check_token(path: Path | None, environ: Mapping[str, str]) -> None:
    """Whether a worker may start with this setting. Raises SecretFileError."""
    if path is not None:
        TokenFile(path, environ).check()


class TokenFile:
    """The file, and a digest of what it holds; `hide` gets each token that was read, for the redactor."""

    def __init__(
        self,
        path: Path,
        environ: Mapping[str, str],
        *,
        user_id: int | None = None,
        hide: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path = path
        user = os.geteuid() if user_id is None else user_id
        folder = environ.get(CREDENTIALS_DIRECTORY)
        # systemd leaves its files to root and lets the service in by an access list, whose mask shows as
        # the rights of the group: only the rights of strangers are a mistake there.
        from_systemd = bool(folder) and path.parent == Path(folder or "")
        self._owners = (user, 0) if from_systemd else (user,)
        self._forbidden = 0o007 if from_systemd else 0o077
        self._hide = hide
        self._mark: _Mark | None = None
        self._digest = b""

    def check(self) -> None:
        """Read the file now. Raises SecretFileError with the sentence for what is wrong."""
        self._mark = None
        # The mark first: what changes while it is read is read again.
        mark = self._mark_now()
        where = f"{KEY} {self._path}"
        token = read_secret(self._path, where, owners=self._owners, forbidden=self._forbidden).strip()
        _check_words(token, where)
        self._hide(token)
        self._digest, self._mark = _digest(token.encode()), mark

    def matches(self, presented: bytes) -> bool:
        """Whether this is the token; takes as long when it is not. Raises SecretFileError."""
        if self._mark is None or self._mark_now() != self._mark:
            self.check()
        return hmac.compare_digest(_digest(presented), self._digest)

    def _mark_now(self) -> _Mark | None:
        """What changes with every change of the file, its owner and its rights."""
        try:
            is_now = os.lstat(self._path)
        except OSError:
            return None
        times = (is_now.st_mtime_ns, is_now.st_ctime_ns)
        return (is_now.st_dev, is_now.st_ino, is_now.st_size, *times, is_now.st_mode, is_now.st_uid)


def _check_words(token: str, where: str) -> None:
    if not _TOKEN.fullmatch(token):
        raise SecretFileError(f"{where} does not hold one word of letters and digits: {MAKE_ONE}")
    if not CHARACTERS_MIN <= len(token) <= CHARACTERS_MAX:
        raise SecretFileError(
            f"{where} holds {len(token)} characters, must be {CHARACTERS_MIN} to {CHARACTERS_MAX}: {MAKE_ONE}"
        )
    if len(set(token)) < VARIETY_MIN:
        raise SecretFileError(f"{where} holds fewer than {VARIETY_MIN} different characters: {MAKE_ONE}")


def _digest(token: bytes) -> bytes:
    return hashlib.blake2b(token, digest_size=32, person=b"ew-http-token").digest()
