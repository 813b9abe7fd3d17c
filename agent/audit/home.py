"""An empty home for a program under audit, and which folders in it are its own.

In:  a folder.   Out: home, temporary and working folder in it, and the environment that leads a program there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.library_switches import LIBRARY_SWITCHES

# Where each system puts a program's own data, settings, caches and logs, below the home.
_OWN = (
    *(".local/share/sotto", ".local/state/sotto", ".config/sotto", ".cache/sotto"),
    *("Library/Application Support/sotto", "Library/Preferences/sotto", "Library/Caches/sotto", "Library/Logs/sotto"),
    *("AppData/Local/sotto", "AppData/Roaming/sotto"),
)
# Made by the client libraries of the sound systems that PortAudio asks for devices; nothing of a conversation is in it.
_SOUND_SYSTEM = "/dev/shm/jack_db-"  # noqa: S108 - looked for, not written
# What would lead a program back to the user's own home.
_LEADS_OUT = ("XDG_", "SOTTO_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "NUMBA_", "RAY_")


@dataclass(frozen=True)
class AuditHome:
    """Folders that nothing was written to yet.

    Attributes:
        folder: Holds the others.
    """

    folder: Path

    @property
    def home(self) -> Path:
        """The user's home as the program sees it."""
        return self.folder / "home"

    @property
    def temporary(self) -> Path:
        """Where the program is told to put temporary files."""
        return self.folder / "tmp"

    @property
    def work(self) -> Path:
        """Where the program is started; files that the user names end here."""
        return self.folder / "work"

    @property
    def runtime(self) -> Path:
        """What the desktop gives a session for sockets, until it ends (XDG_RUNTIME_DIR)."""
        return self.folder / "runtime"

    @property
    def notes(self) -> Path:
        """Where the audit keeps what it saw."""
        return self.folder / "seen"

    def make(self) -> None:
        """Create the folders.

        Raises:
            FileExistsError: One is there already: it might not be empty.
        """
        for folder in (self.home, self.temporary, self.work, self.runtime, self.notes):
            folder.mkdir(parents=True, mode=0o700)

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """The variables of a program that lives here.

        Args:
            inherited: Those of this process. Switches that it set for its own libraries are taken out: the program
                has to set them itself.
        """
        kept = {
            name: value
            for name, value in inherited.items()
            if name not in LIBRARY_SWITCHES and not name.startswith(_LEADS_OUT)
        }
        home, temporary = str(self.home), str(self.temporary)
        own = {"HOME": home, "USERPROFILE": home, "TMPDIR": temporary, "TEMP": temporary, "TMP": temporary}
        appdata = {"LOCALAPPDATA": str(self.home / "AppData/Local"), "APPDATA": str(self.home / "AppData/Roaming")}
        session = {"XDG_RUNTIME_DIR": str(self.runtime)} if "HOME" in kept else {}
        return {**kept, **own, **session, **(appdata if "LOCALAPPDATA" in kept else {})}

    def is_own(self, path: Path) -> bool:
        """Whether the program may write there: its own folders, where it was started, and the sound system's."""
        if path.is_relative_to(self.work) or path.is_relative_to(self.notes):
            return True
        if path == self.runtime / "pulse" or path.as_posix().startswith(_SOUND_SYSTEM):
            return True
        own = [self.home / name for name in _OWN]
        return any(path.is_relative_to(folder) or folder.is_relative_to(path) for folder in own)
