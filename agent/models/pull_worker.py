"""The process in which a model is pulled for somebody who presses a button; see `agent.models.pull_process`.

A conversation may go on meanwhile: checksums and unpacking take nothing of its interpreter and come after it at the
processor, and a server that does not answer cannot hold up whoever ends this process.

In:  one line of JSON on standard input, the fields of `Order`; then nothing, until the end of input ends it.
Out: lines of JSON on standard output: `{"done_bytes", "total_bytes", "step"}` again and again, `{"said": line}`, and at
     the end `{"ready": true}` or `{"what": what went wrong, "press": what mends it}`.
"""

import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.errors import SottoError
from agent.models.catalogue import Member, Model, model_dir
from agent.models.pull import DownloadError, Hearers, missing_files, pull
from agent.models.sources.file import ModelFile
from agent.models.sources.other_tools import OtherTools
from agent.models.supply import sources

TOLD_SECS = 0.1  # progress is told no oftener
_NICE = 5
_PIECE_BYTES = 4096
_telling = threading.Lock()


@dataclass(frozen=True)
class Order:
    """What is to be pulled.

    Attributes:
        model: From the catalogue.
        models_dir: The models directory.
        environment: What the environment says of other tools.
        home: The user's folder.
    """

    model: Model
    models_dir: Path
    environment: dict[str, str]
    home: Path

    def line(self) -> bytes:
        """As one line of JSON."""
        fields = {**asdict(self), "models_dir": str(self.models_dir), "home": str(self.home)}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def of(cls, line: bytes) -> "Order":
        """From that line.

        Raises:
            ValueError, LookupError, TypeError: It is none.
        """
        fields = json.loads(line)
        model = fields["model"]
        files = tuple(ModelFile(**file) for file in model.pop("files"))
        members = tuple(Member(**member) for member in model.pop("members"))
        found = Model(**model, files=files, members=members)
        return cls(found, Path(fields["models_dir"]), fields["environment"], Path(fields["home"]))


@dataclass
class Teller:
    """Tells how far a pull is.

    Attributes:
        model: What is pulled.
        total_bytes: What is to come, out of an archive as well.
    """

    model: Model
    total_bytes: int
    _done: dict[str, int] = field(default_factory=dict)
    _newest: dict[str, Any] = field(default_factory=dict)
    _told: dict[str, Any] = field(default_factory=dict)

    def hearers(self) -> Hearers:
        """What the pull is to tell."""
        return Hearers(
            lambda file, done_bytes: self._count(file.name, done_bytes, "fetching"),
            lambda done_bytes: self._count("", done_bytes, "unpacking"),
            lambda file, _origin: self._count(file.name, file.size_bytes, "fetching"),
            lambda line: tell(said=line),
        )

    def tell_on(self) -> None:
        """Tell how far it is from time to time, also while the server is silent; in a thread of its own."""
        while True:
            self.tell_newest()
            time.sleep(TOLD_SECS)

    def tell_newest(self) -> None:
        """Tell how far it is, unless that was told."""
        newest = self._newest
        if newest != self._told:
            self._told = newest
            tell(**newest)

    def _count(self, name: str, done_bytes: int, step: str) -> None:
        self._done[name] = done_bytes
        done = sum(self._done.values())
        self._newest = {"done_bytes": done, "total_bytes": self.total_bytes, "step": step}


def tell(**line: Any) -> None:
    """One line to whoever started this process."""
    with _telling:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def carry_out(order: Order) -> None:
    """Pull the model, and tell how it goes."""
    model, directory = order.model, model_dir(order.models_dir, order.model)
    lacking = missing_files(model, directory)
    unpacked = sum(member.size_bytes for member in model.members) if lacking else 0
    teller = Teller(model, sum(file.size_bytes for file in lacking) + unpacked)
    hearers = teller.hearers()
    threading.Thread(target=teller.tell_on, daemon=True).start()
    try:
        with sources(order.models_dir, OtherTools.of(order.environment, order.home), say=hearers.said) as among:
            pull(model, order.models_dir, among=among, hearers=hearers)
        teller.tell_newest()
    except DownloadError as error:
        tell(what=error.what, press=error.press)
    except SottoError as error:
        tell(what=str(error), press="mend that, then try again")
    else:
        tell(ready=True)


def _end_with_the_input() -> None:
    # Past Python's buffer: a thread that waits with its lock would keep the interpreter from ending.
    with contextlib.suppress(OSError):
        while os.read(0, _PIECE_BYTES):
            pass
    os._exit(1)


def main() -> None:
    """Read the order, carry it out."""
    if hasattr(os, "nice"):
        os.nice(_NICE)
    order = Order.of(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    carry_out(order)


if __name__ == "__main__":
    main()
