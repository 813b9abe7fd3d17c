"""The process in which PocketSphinx decodes.

PocketSphinx holds the interpreter lock while it decodes (measured: a 1 ms ticker beside it was stalled 269 ms at
p99), so it runs here, away from every event loop. Run as a script by `processors/stt/pocketsphinx.py`; imports
nothing of the house, so that it starts quickly.

In:  requests on standard input.   Out: one reply a request on standard output.
A request is `op, stream, length` (struct REQUEST) and `length` bytes of payload; a reply is a 4-byte length and JSON.

One decoder serves all streams. The first stream to speak is decoded while it speaks; what others say meanwhile is
kept and decoded when they finish, which takes about a tenth of its duration.
"""

import json
import signal
import struct
import sys
from typing import Any, BinaryIO

REQUEST = struct.Struct("<BII")
REPLY_LENGTH = struct.Struct("<I")
ACCEPT, FINISH, RESET = 1, 2, 3

SAMPLE_RATE_HZ = 16_000
FRAMES_PER_SEC = 100
# A stream without end would fill the memory: 2 minutes at 16 kHz s16.
MAX_STREAM_BYTES = 120 * SAMPLE_RATE_HZ * 2


class Streams:
    """All open utterances, and which of them the decoder is working on."""

    def __init__(self) -> None:
        from pocketsphinx import Decoder

        self._decoder = Decoder(loglevel="FATAL", samprate=SAMPLE_RATE_HZ)
        self._neutral_channel = self._decoder.get_cmn(False)
        self._live: int | None = None
        self._audio: dict[int, bytearray] = {}

    def accept(self, stream: int, pcm16: bytes) -> str:
        """Take audio of a stream; the partial text, or empty while another stream has the decoder."""
        first = stream not in self._audio
        audio = self._audio.setdefault(stream, bytearray())
        audio += pcm16[: MAX_STREAM_BYTES - len(audio)]
        if first and self._live is None:
            self._live = stream
            self._start()
        if self._live != stream:
            return ""
        self._decoder.process_raw(bytes(pcm16))
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""

    def finish(self, stream: int) -> dict[str, Any]:
        """Decode what is left of a stream; its words."""
        audio = self._audio.pop(stream, bytearray())
        if not audio:
            return {"text": "", "words": []}
        if self._live == stream:
            self._decoder.end_utt()
            self._live = None
            return self._result()
        if self._live is not None:
            # The speaker who has just finished is waiting; the other one is still talking and can be decoded later.
            self._decoder.end_utt()
            self._live = None
        self._start()
        self._decoder.process_raw(bytes(audio), full_utt=True)
        self._decoder.end_utt()
        return self._result()

    def reset(self, stream: int) -> None:
        """Forget a stream."""
        self._audio.pop(stream, None)
        if self._live == stream:
            self._decoder.end_utt()
            self._live = None

    def _start(self) -> None:
        # What the decoder learned of the last speaker's microphone would garble the next one's words.
        self._decoder.set_cmn(self._neutral_channel)
        self._decoder.start_utt()

    def _result(self) -> dict[str, Any]:
        hypothesis = self._decoder.hyp()
        words = [
            {
                "text": segment.word.split("(")[0],
                "start": segment.start_frame / FRAMES_PER_SEC,
                "end": (segment.end_frame + 1) / FRAMES_PER_SEC,
                "probability": min(1.0, max(0.0, float(segment.prob))),
            }
            for segment in self._decoder.seg() or ()
            if segment.word[0] not in "<[+"
        ]
        return {"text": hypothesis.hypstr if hypothesis else "", "words": words}


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until standard input ends."""
    streams = Streams()
    _reply(replies, {"ready": True})
    while len(header := requests.read(REQUEST.size)) == REQUEST.size:
        op, stream, length = REQUEST.unpack(header)
        payload = requests.read(length)
        if op == ACCEPT:
            _reply(replies, {"text": streams.accept(stream, payload)})
        elif op == FINISH:
            _reply(replies, streams.finish(stream))
        else:
            streams.reset(stream)
            _reply(replies, {})


def _reply(replies: BinaryIO, answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    replies.write(REPLY_LENGTH.pack(len(body)) + body)
    replies.flush()


if __name__ == "__main__":
    # Ctrl-C reaches the whole process group; the parent ends this process by closing its standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout.buffer)
