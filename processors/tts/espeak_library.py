"""espeak-ng's library, loaded once per process: its voices, and the phonemes of a text.

In:  text and the name of a voice.   Out: phonemes in IPA, clause by clause.
Interface: espeak-ng `speak_lib.h`. Licence of the library: GPL-3.0-or-later.

espeak-ng keeps its state per process, so one lock guards it.
"""

import ctypes
import re
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from processors.errors import EngineUnavailableError
from processors.text.clauses import Boundary, Strength, find_boundaries

_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PHONEMES_IPA = 0x02
_EE_OK = 0
# Where a word of another language begins and ends, as in `(en)wˈɜːd(fr)`.
_LANGUAGE_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z0-9]+)*\)")
_CLOSERS = "\"'”’»)]}」』）》〉 "
# What a voice's model knows of the marks that end a clause.
_MARKS = {
    **dict.fromkeys(".…。｡．؟।", "."),
    **dict.fromkeys("!！", "!"),
    **dict.fromkeys("?？؟", "?"),
    **dict.fromkeys(",—–、،，", ","),
    **dict.fromkeys(";；؛", ";"),
    **dict.fromkeys(":：", ":"),
}


class _EspeakVoice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        # A byte of priority before each, a zero after the last.
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


@dataclass(frozen=True)
class SpokenClause:
    """A clause and how it is spoken.

    Attributes:
        text: As it stands in the text.
        phonemes: IPA with stress marks, a space between words; some short words are spoken as one ("of the").
        mark: The mark that ends it, one of `. ! ? , ; :`; empty where it ends without.
    """

    text: str
    phonemes: str
    mark: str


class EspeakLibrary:
    """The initialised library; `shared` gives the one of the process.

    Attributes:
        calls: The library's functions; who calls them holds `lock`.
        lock: Guards the library's state.
        rate_hz: Of its sound.
        dictionaries: Languages whose words it can spell out; the package leaves out some.
    """

    def __init__(self) -> None:
        import espeakng_loader

        self.lock = threading.RLock()
        try:
            self.calls = ctypes.CDLL(espeakng_loader.get_library_path())
            data_path = Path(espeakng_loader.get_data_path())
        except (OSError, RuntimeError) as error:
            raise EngineUnavailableError(f"espeak-ng's library cannot be loaded ({error})", "uv sync") from error
        data = str(data_path).encode()
        self.rate_hz = self.calls.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _INITIALIZE_DONT_EXIT)
        if self.rate_hz <= 0:
            raise EngineUnavailableError(f"espeak-ng does not accept its data at {data_path}", "uv sync")
        self.calls.espeak_TextToPhonemes.restype = ctypes.c_char_p
        self.calls.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_EspeakVoice))
        self.dictionaries = frozenset(path.name.removesuffix("_dict") for path in data_path.glob("*_dict"))
        # The library reads each voice's file to list them: milliseconds, for what does not change.
        self._listed: list[tuple[str, str, str]] = []

    @staticmethod
    def shared() -> "EspeakLibrary":
        """The library of this process, initialised by whoever asks first.

        Raises:
            EngineUnavailableError: It cannot be loaded, or does not accept its data.
        """
        with _loading:
            return _load()

    def listed(self) -> list[tuple[str, str, str]]:
        """(language, label, identifier) of each voice."""
        with self.lock:
            if not self._listed:
                self._listed = self._list()
            return self._listed

    def _list(self) -> list[tuple[str, str, str]]:
        listed = self.calls.espeak_ListVoices(None)
        voices: list[tuple[str, str, str]] = []
        while listed[len(voices)]:
            voice = listed[len(voices)].contents
            language = ctypes.string_at(voice.languages + 1).decode()
            voices.append((language, voice.name.decode().strip(), voice.identifier.decode()))
        return voices

    def voice_name(self, voice: str) -> bytes:
        """What the library knows a voice by.

        Raises:
            EngineUnavailableError: It knows no such voice.
        """
        with self.lock:
            # Some languages are not the name of their voice: en-gb is spoken by `gmw/en`.
            names = [voice, *(identifier for language, _, identifier in self.listed() if language == voice)]
            for name in names:
                if self.calls.espeak_SetVoiceByName(name.encode()) == _EE_OK:
                    return name.encode()
        raise EngineUnavailableError(
            f"espeak does not know the voice tts.voice = {voice!r}", "choose one such as en-us or es"
        )

    def clauses(self, text: str, voice_name: bytes) -> list[SpokenClause]:
        """How a text is spoken.

        Args:
            text: Speakable text.
            voice_name: From `voice_name`.

        Returns:
            Its clauses; those without a speakable word are left out.
        """
        cuts = [at for at in find_boundaries(text) if isinstance(at, Boundary) and at.strength >= Strength.CLAUSE]
        starts, ends = [0, *(cut.start for cut in cuts)], [*(cut.end for cut in cuts), len(text)]
        clauses: list[SpokenClause] = []
        with self.lock:
            self.calls.espeak_SetVoiceByName(voice_name)
            for start, end in zip(starts, ends, strict=True):
                clause = text[start:end].strip()
                phonemes = self._phonemes(clause) if any(map(str.isalnum, clause)) else ""
                if phonemes:
                    mark = _MARKS.get(clause.rstrip(_CLOSERS)[-1:], "")
                    clauses.append(SpokenClause(clause, phonemes, mark))
        return clauses

    def words_phonemes(self, words: list[str], voice_name: bytes) -> list[str]:
        """How each word is spoken alone."""
        with self.lock:
            self.calls.espeak_SetVoiceByName(voice_name)
            return [self._phonemes(word) for word in words]

    def _phonemes(self, text: str) -> str:
        """The phonemes of a text in the voice that is set. The caller holds the lock."""
        # The library stops at a zero.
        data = ctypes.create_string_buffer(text.replace("\0", " ").encode())
        position = ctypes.c_void_p(ctypes.addressof(data))
        parts: list[str] = []
        while position.value:
            part = self.calls.espeak_TextToPhonemes(ctypes.byref(position), _CHARS_UTF8, _PHONEMES_IPA)
            parts.append(_LANGUAGE_SWITCH.sub("", (part or b"").decode()))
        return " ".join(" ".join(parts).split())


_loading = threading.Lock()


@cache
def _load() -> EspeakLibrary:
    return EspeakLibrary()
