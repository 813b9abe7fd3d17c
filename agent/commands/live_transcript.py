"""`sotto transcribe --live`: a recording heard at the pace of real time, its words shown as they are recognized.

In:  16 kHz mono sound.   Out: a line a stretch of speech; on a terminal the words so far, below it.
Gain, voice activity and recognizer are those of a conversation; a stretch ends at the pause that ends an utterance.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pipecat.audio.vad.vad_analyzer import VADParams, VADState
from rich.console import Console
from rich.live import Live
from rich.text import Text

from agent.settings.load import Settings
from processors.ear.input_gain import GainControl
from processors.ear.silero import load_silero
from processors.ear.vad import SharedSileroVADAnalyzer
from processors.stt.pre_roll import PRE_ROLL_SECS
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, RecognizerEngine

FRAME_SAMPLES = SAMPLE_RATE_HZ // 50  # 20 ms
TRAILING_SECS = 1.0


async def transcribe_live(engine: RecognizerEngine, audio_s16: Pcm16, settings: Settings, console: Console) -> None:
    """Hear a recording in real time and show its words.

    Args:
        engine: Loaded.
        audio_s16: shape (n_samples,), int16, 16 kHz mono.
        settings: Gain and voice activity.
        console: Where the words go.

    Raises:
        EngineError: The engine failed.
    """
    with (
        ThreadPoolExecutor(1, "vad") as vad_threads,
        ThreadPoolExecutor(1, "stt") as stt_threads,
        Live(console=console, refresh_per_second=10, transient=True) as screen,
    ):
        listener = _Listener(engine, settings, vad_threads, stt_threads, screen)
        await listener.hear(audio_s16)


class _Listener:
    """Follows voice and words through one recording."""

    def __init__(
        self,
        engine: RecognizerEngine,
        settings: Settings,
        vad_threads: ThreadPoolExecutor,
        stt_threads: ThreadPoolExecutor,
        screen: Live,
    ) -> None:
        vad = settings.vad
        params = VADParams(
            confidence=vad.confidence, start_secs=vad.start_secs, stop_secs=vad.stop_secs, min_volume=vad.min_volume
        )
        self._vad = SharedSileroVADAnalyzer(load_silero(), vad_threads, params)
        self._vad.set_sample_rate(SAMPLE_RATE_HZ)
        listening = settings.input
        self._gain = GainControl(listening.target_dbfs, listening.max_gain_db if listening.auto_gain else 0.0)
        self._recognizer = engine.recognizer()
        self._threads = stt_threads
        self._screen = screen
        self._pre_roll = bytearray()
        self._speaking = False
        self._start_secs = 0.0

    async def hear(self, audio_s16: Pcm16) -> None:
        """Hear all of it, and a second of silence."""
        loop = asyncio.get_running_loop()
        started_secs = loop.time()
        n_frames = -(-len(audio_s16) // FRAME_SAMPLES) + int(TRAILING_SECS * SAMPLE_RATE_HZ) // FRAME_SAMPLES
        for index in range(n_frames):
            frame_s16 = audio_s16[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES]
            raised_s16 = self._gain.apply(frame_s16, SAMPLE_RATE_HZ)
            pcm16 = raised_s16.astype("<i2").tobytes().ljust(FRAME_SAMPLES * 2, b"\0")
            await self._hear_frame(pcm16, (index + 1) * FRAME_SAMPLES / SAMPLE_RATE_HZ)
            await asyncio.sleep(max(0.0, started_secs + index * FRAME_SAMPLES / SAMPLE_RATE_HZ - loop.time()))
        if self._speaking:
            await self._end(n_frames * FRAME_SAMPLES / SAMPLE_RATE_HZ)

    async def _hear_frame(self, pcm16: bytes, at_secs: float) -> None:
        state = await self._vad.analyze_audio(pcm16)
        if not self._speaking:
            self._pre_roll += pcm16
            del self._pre_roll[: -int(PRE_ROLL_SECS * SAMPLE_RATE_HZ) * 2]
            if state is not VADState.SPEAKING:
                return
            self._speaking = True
            self._start_secs = max(0.0, at_secs - len(self._pre_roll) / 2 / SAMPLE_RATE_HZ)
            pcm16 = bytes(self._pre_roll)
            self._pre_roll.clear()
        text = await asyncio.get_running_loop().run_in_executor(self._threads, self._recognizer.accept, pcm16)
        self._screen.update(Text(f"{at_secs:8.2f}  {text} …", style="dim"))
        if state is VADState.QUIET:
            await self._end(at_secs)

    async def _end(self, at_secs: float) -> None:
        self._speaking = False
        transcript = await asyncio.get_running_loop().run_in_executor(self._threads, self._recognizer.finish)
        self._screen.update(Text())
        if transcript.text:
            line = Text(f"{self._start_secs:8.2f} - {at_secs:.2f}  {transcript.text}")
            self._screen.console.print(line, soft_wrap=True)
