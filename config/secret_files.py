"""Secrets from files, Docker's and Kubernetes' way, and those files when they have changed."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

_T = TypeVar("_T")

#: What a PEM text has, and the name of a file has not.
_PEM = "-----BEGIN"


@dataclass(frozen=True)
class SecretFile:
    """A file with a secret.

    Args:
        variable: the one that names it.
        path: of the file.
        wanted: begins the sentence about a file that cannot be read.
    """

    variable: str
    path: Path
    wanted: str = "its file cannot be read"

    def read(self) -> str:
        """Its text, without the line end that editors add.

        Raises:
            ValueError: it cannot be read or is empty; names the variable. Its value is not quoted:
                by mistake it may be the secret itself.
        """
        try:
            text = self.path.read_text().rstrip("\r\n")
        except OSError as error:
            raise ValueError(f"{self.variable} is wrong: {self.wanted}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{self.variable} is wrong: its file is not UTF-8") from None
        if not text:
            raise ValueError(f"{self.variable} is wrong: its file is empty")
        return text


def named(variable: str, values: Mapping[str, str], pem: str = "") -> SecretFile | None:
    """The file that holds a secret setting; None if the variable holds it itself, or neither does.

    Args:
        variable: of the setting.
        values: all variables that are set.
        pem: what its text begins, ``CERTIFICATE`` say, if it is PEM: then the variable may name
            the file too.

    Raises:
        ValueError: both variables are set.
    """
    value, file = values.get(variable, ""), f"{variable}_FILE"
    if file in values:
        if value:
            raise ValueError(f"{variable} and {file} are both set: remove one of them")
        return SecretFile(file, Path(values[file]))
    if not pem or not value or _PEM in value or "\n" in value:
        return None
    wanted = f"must be PEM text that begins {_PEM} {pem}-----, or name a file with it"
    return SecretFile(variable, Path(value), wanted)


class Rotation(Generic[_T]):
    """What was made of the files, made again when they have changed.

    Args:
        made: of what the files hold now.
        files: by setting.
        make: makes another of the files' texts; raises ValueError if they do not fit.
    """

    def __init__(
        self,
        made: _T,
        files: Mapping[str, SecretFile],
        texts: Mapping[str, str],
        make: Callable[[Mapping[str, str]], _T],
    ) -> None:
        self._made, self._files, self._texts, self._make = made, files, texts, make
        self._lock = Lock()
        self._said = ""

    def newest(self) -> _T:
        """The newest that could be made. Files that do not fit are logged, once. Any thread."""
        with self._lock:
            try:
                texts = {name: file.read() for name, file in self._files.items()}
                if texts != self._texts:
                    self._made = self._make(texts)
                    changed = [name for name in texts if texts[name] != self._texts[name]]
                    variables = sorted({self._files[name].variable for name in changed})
                    self._texts, self._said = texts, ""
                    log.info(
                        "New connections use the new text of %s.",
                        " and ".join(variables),
                        extra={"event": "secret_renewed"},
                    )
            except ValueError as error:
                if str(error) != self._said:
                    self._said = str(error)
                    log.warning(
                        "%s. What was read before stays in use.",
                        error,
                        extra={"event": "secret_unusable"},
                    )
            return self._made
