"""Barge-in in two steps: speech over the agent first makes it quiet, and only what the speech was makes it stop.

In:  the first sign of voice, voice activity, partial words, the words of a pause; whether the agent has the floor.
Out: PlayoutFrame to the gate; then either the start of the user's turn, which cuts the agent, or
     FalseInterruptionFrame, after which it goes on from the sample where it paused.

Where the agent has nothing to say, voice starts the turn at once. Times count samples.
"""

from dataclasses import dataclass

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    TranscriptionFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.turns.types import ProcessFrameResult
from pipecat.turns.user_start import BaseUserTurnStartStrategy

from processors.ear.echo import may_be_echo
from processors.frames import (
    AwakeFrame,
    Cause,
    EchoTier,
    EchoTierFrame,
    FalseInterruptionFrame,
    FloorFrame,
    PauseTranscriptFrame,
    PlayoutFrame,
    PushToTalkFrame,
    TypedTurnFrame,
    VoiceEdge,
    VoiceEdgeFrame,
)
from processors.turns.backchannel import Meaning, meaning_of, sounds_like_command
from processors.turns.heard_speech import HeardSpeech

# A partial may still become another, or nothing; one of so many words, after this much voice, counts.
SURE_WORDS = 3
SURE_VOICE_SECS = 0.5
# For so long after the agent's last sound its echo may be heard.
ECHO_TAIL_SECS = 1.0
# Nobody backchannels what has hardly begun.
JUST_BEGUN_SECS = 0.5
# A recognizer that shows partials would have shown a word by then.
EASE_SECS = 0.6
# So much voice without words: the floor, if the recognizer shows no partials; a noise, if it does.
WORDLESS_VOICE_SECS = 2.0
# A word or two that the recognizer believes no more than this is a noise that it has written down.
UNSURE_CONFIDENCE, UNSURE_WORDS = 0.35, 2
# Voice that has been suspected for this long silences the agent.
SUSPECTED_SECS = 0.16
# Speech-to-text answers every pause. If it does not by then, the speech counts as what it most likely is; where that is
# a backchannel, the agent speaks on quietly, and there is time to be sure.
MISSING_WORDS_SECS, MISSING_BACKCHANNEL_SECS = 3.0, 10.0


@dataclass
class _Claim:
    """Speech over the agent of which it is not known yet what it wants.

    Attributes:
        voice_secs: How long the voice has gone on.
        pause_secs: How long it has been silent; None while it is not.
        text: The words so far.
        words_known: Whether those are all of them.
        eased: Whether the agent speaks on quietly, since so far nothing is asked of it.
        continues: Whether the agent had hardly begun, or has finished: the user answers, or has not finished.
        age_secs: How long ago the voice began.
        doubted: Whether the agent's own echo accounts for all that has been heard of it.
    """

    voice_secs: float = 0.0
    pause_secs: float | None = None
    text: str = ""
    words_known: bool = False
    eased: bool = False
    continues: bool = False
    age_secs: float = 0.0
    doubted: bool = False


class BargeInStrategy(BaseUserTurnStartStrategy):
    """Starts the user's turn: at once where the agent is silent, else when the speech turns out to want the floor.

    Args:
        heard: What the agent has said.
        language: ISO 639-1 code of what is spoken, where the recognizer does not say.
        shows_partials: Whether the recognizer tells words while they are being said.
        two_steps: False lets any voice cut the agent.

    Attributes:
        turn_cut_agent: Whether the latest turn was spoken, and began while the agent had the floor.
    """

    def __init__(self, heard: HeardSpeech, *, language: str, shows_partials: bool, two_steps: bool = True) -> None:
        super().__init__()
        self._heard = heard
        self._language = language
        self._shows_partials = shows_partials
        self._two_steps = two_steps
        self._agent_has_floor = False
        # Since the agent's last sound.
        self._silent_secs = ECHO_TAIL_SECS
        self._turn_open = False
        self._user_speaking = False
        self._ducked = False
        self._suspected_secs: float | None = None
        self._key_pressed = False
        # Whether there is a canceller, whether it has converged, and whether the latest sound may be what it left over.
        self._has_echo = self._warmed_up = self._may_be_echo = False
        # Whether anything of ours measures the echo.
        self._cancels = False
        self._claim: _Claim | None = None
        self._is_typed = False
        self.turn_cut_agent = False

    def change(self, *, language: str, shows_partials: bool, two_steps: bool) -> None:
        """Other settings, for what is said from now on; see the class."""
        self._language = language
        self._shows_partials = shows_partials
        self._two_steps = two_steps

    async def handle_user_turn_started(self) -> None:
        """The interruption that goes with it also ends ducking and pausing."""
        self._turn_open = True
        self.turn_cut_agent = self._agent_has_floor and not self._is_typed
        self._is_typed = False
        self._claim = None
        self._ducked = False

    async def handle_user_turn_stopped(self) -> None:
        """The agent's turn."""
        self._turn_open = False

    async def process_frame(self, frame: Frame) -> ProcessFrameResult:
        """Follow voice, words and the agent."""
        if isinstance(frame, InputAudioRawFrame):
            cold = self._has_echo and not self._warmed_up and self._may_sound
            self._may_be_echo = may_be_echo(frame) or cold
            await self._count(frame.num_frames / frame.sample_rate)
        elif isinstance(frame, EchoTierFrame):
            self._cancels = frame.tier is not EchoTier.OFF
            self._has_echo = frame.tier in (EchoTier.CANCEL, EchoTier.HALF_DUPLEX)
            self._warmed_up = frame.warmed_up
        elif isinstance(frame, VoiceEdgeFrame):
            await self._follow_edge(frame.edge)
        elif isinstance(frame, VADUserStartedSpeakingFrame):
            await self._start_voice(frame)
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            await self._stop_voice(frame)
        elif isinstance(frame, PauseTranscriptFrame):
            await self._take_words(frame)
        elif isinstance(frame, (InterimTranscriptionFrame, TranscriptionFrame)):
            await self._take_partial(frame.text)
        elif isinstance(frame, FloorFrame):
            await self._follow_agent(frame)
        elif isinstance(frame, InterruptionFrame):
            # Of another's making; the gate has forgotten that it was to wait.
            self._claim = None
            self._ducked = False
        elif isinstance(frame, TypedTurnFrame):
            self._is_typed = not self._turn_open
            await self._take_floor()
        elif isinstance(frame, AwakeFrame):
            if frame.word and self._user_speaking and self._agent_has_floor:
                await self._take_floor()
        elif isinstance(frame, PushToTalkFrame):
            self._key_pressed = frame.active
        return ProcessFrameResult.CONTINUE

    async def _count(self, duration_secs: float) -> None:
        claim = self._claim
        if not self._agent_has_floor:
            self._silent_secs += duration_secs
        if claim:
            claim.age_secs += duration_secs
            if claim.doubted and self._user_speaking and not self._may_be_echo:
                claim.doubted = False
                await self._be_silent(claim)
        if claim is None:
            await self._count_suspicion(duration_secs)
            return
        if claim.pause_secs is None:
            claim.voice_secs += duration_secs
            if claim.doubted:
                # An echo lasts as long as the agent speaks: only words count.
                return
            if claim.text:
                if claim.voice_secs >= WORDLESS_VOICE_SECS and self._meaning(claim.text) is Meaning.FLOOR:
                    await self._take_floor()
                return
            if self._shows_partials and claim.voice_secs >= EASE_SECS:
                await self._ease(claim)
            if claim.voice_secs >= WORDLESS_VOICE_SECS:
                await (self._dismiss("noise") if self._shows_partials else self._take_floor())
        else:
            claim.pause_secs += duration_secs
            if claim.pause_secs >= MISSING_WORDS_SECS:
                await self._miss_words(claim, claim.pause_secs)

    async def _miss_words(self, claim: _Claim, pause_secs: float) -> None:
        """Speech-to-text is slow, or hangs."""
        if self._meaning(claim.text) is not Meaning.BACKCHANNEL:
            await self._take_floor()
        elif pause_secs >= MISSING_BACKCHANNEL_SECS:
            await self._dismiss("backchannel", claim.text)
        else:
            await self._ease(claim)

    async def _count_suspicion(self, duration_secs: float) -> None:
        """Voice activity wants an unbroken stretch of sure voice; whoever begins haltingly is to be heard as soon."""
        if self._ducked and self._suspected_secs is not None:
            self._suspected_secs += duration_secs
            if self._suspected_secs >= SUSPECTED_SECS and not self._may_be_echo:
                self._suspected_secs = None
                await self.push_frame(PlayoutFrame("paused"))

    async def _follow_edge(self, edge: VoiceEdge) -> None:
        if edge is VoiceEdge.RESUMED and self._claim:
            self._claim.words_known = False
            await self._be_silent(self._claim)
        elif edge is VoiceEdge.SUSPECTED and self._may_claim and self._agent_has_floor:
            self._ducked = True
            self._suspected_secs = 0.0
            await self.push_frame(PlayoutFrame("paused" if self._claim else "ducked"))
        elif edge is VoiceEdge.DISMISSED and self._ducked and self._claim is None:
            await self._speak_up()

    async def _start_voice(self, frame: VADUserStartedSpeakingFrame) -> None:
        self._user_speaking = True
        if self._turn_open:
            return
        if not self._may_claim or self._key_pressed:
            await self._take_floor()
        elif self._claim is None:
            await self._make_claim(frame.start_secs)
        else:
            self._claim.pause_secs = None
            self._claim.words_known = False
            await self._be_silent(self._claim)

    async def _be_silent(self, claim: _Claim) -> None:
        """There is more than what the words so far were taken for."""
        if claim.eased and not claim.doubted:
            claim.eased = False
            await self.push_frame(PlayoutFrame("paused"))

    async def _ease(self, claim: _Claim) -> None:
        """So far it asks for nothing: the agent may go on quietly until that is certain."""
        if not claim.eased:
            claim.eased = True
            await self.push_frame(PlayoutFrame("ducked"))

    async def _make_claim(self, voice_secs: float) -> None:
        continues = not self._agent_has_floor or self._heard.reply_secs < JUST_BEGUN_SECS
        doubted = self._may_be_echo
        self._claim = _Claim(voice_secs, continues=continues, age_secs=voice_secs, doubted=doubted, eased=doubted)
        await self.push_frame(PlayoutFrame("ducked" if doubted else "paused"))

    async def _stop_voice(self, frame: VADUserStoppedSpeakingFrame) -> None:
        self._user_speaking = False
        if self._claim:
            self._claim.pause_secs = frame.stop_secs
            if self._claim.words_known:
                await self._judge(self._claim.text)

    async def _take_words(self, frame: PauseTranscriptFrame) -> None:
        if frame.language:
            self._language = frame.language
        if self._claim is None:
            return
        self._claim.text = "" if self._is_mumble(frame, self._claim) else frame.text
        self._claim.words_known = True
        if frame.failed and self._claim.continues:
            # The words are lost, which must not pass in silence.
            await self._take_floor()
        elif self._claim.pause_secs is None:
            await self._take_partial(self._claim.text)
        else:
            await self._judge(self._claim.text)

    async def _take_partial(self, text: str) -> None:
        """Words while the user speaks: a command acts at once, anything else when it is sure enough."""
        meaning = self._meaning(text)
        if self._claim is None:
            # The speech was taken for a noise, but goes on and has words.
            if self._user_speaking and self._may_claim and meaning is not Meaning.NOTHING:
                await self._make_claim(SURE_VOICE_SECS)
            if self._claim is None:
                return
        self._claim.text = text
        if self._is_echo(text) or (self._claim.doubted and self._warmed_up):
            return
        sure = len(text.split()) >= SURE_WORDS and self._claim.voice_secs >= SURE_VOICE_SECS
        if meaning is Meaning.COMMAND or (meaning is Meaning.FLOOR and sure):
            await self._take_floor()
        elif meaning is Meaning.FLOOR:
            await self._be_silent(self._claim)
        elif meaning is Meaning.BACKCHANNEL or self._claim.words_known:
            await self._ease(self._claim)

    async def _judge(self, text: str) -> None:
        """The user has paused, and these are all the words."""
        doubted = self._claim is not None and self._claim.doubted
        if self._is_echo(text) or (doubted and (self._warmed_up or not text)):
            await self._dismiss("echo", text)
            return
        match self._meaning(text):
            case Meaning.NOTHING:
                await self._dismiss("noise")
            case Meaning.BACKCHANNEL:
                await self._dismiss("backchannel", text)
            case _:
                await self._take_floor()

    def _is_mumble(self, frame: PauseTranscriptFrame, claim: _Claim) -> bool:
        """Whether a noise, or what is left of an echo, has been written down as words."""
        if frame.confidence is None or frame.confidence >= UNSURE_CONFIDENCE:
            return False
        if claim.doubted:
            return True
        if len(frame.text.split()) > UNSURE_WORDS or claim.continues:
            return False
        # Rather stop for a noise than speak on over a "stop" that was misheard.
        return not sounds_like_command(frame.text, self._language)

    def _is_echo(self, text: str) -> bool:
        claim = self._claim
        if claim is None:
            return False
        # Without a canceller of ours a short reply may come back whole; a question's own words may be its answer.
        unproven = not self._cancels and not self._heard.asks()
        return self._heard.comes_back(text, claim.age_secs, doubted=claim.doubted or unproven)

    @property
    def _may_claim(self) -> bool:
        """Whether it has to be found out first what speech is: over the agent, or so soon that it may be its echo."""
        return self._may_sound and self._two_steps and not self._turn_open

    @property
    def _may_sound(self) -> bool:
        """Whether the agent, or the last of its echo, may be heard."""
        return self._agent_has_floor or self._silent_secs < ECHO_TAIL_SECS

    def _meaning(self, text: str) -> Meaning:
        meaning = meaning_of(text, self._language, asked=self._heard.asks())
        if meaning is Meaning.BACKCHANNEL and self._claim and self._claim.continues:
            return Meaning.FLOOR
        return meaning

    async def _follow_agent(self, frame: FloorFrame) -> None:
        self._agent_has_floor = frame.held
        self._silent_secs = 0.0
        if frame.held or self._turn_open:
            return
        if self._claim:
            # Nothing is left that could be interrupted; what is said now is a turn, or the last echo.
            self._claim.continues = True
        elif self._ducked:
            await self._speak_up()

    async def _take_floor(self) -> None:
        self._claim = None
        if not self._turn_open:
            await self.trigger_user_turn_started()

    async def _dismiss(self, cause: Cause, text: str = "") -> None:
        self._claim = None
        if self._agent_has_floor:
            await self._speak_up()
        self._ducked = False
        await self.broadcast_frame(FalseInterruptionFrame, cause=cause, text=text)

    async def _speak_up(self) -> None:
        self._ducked = False
        await self.push_frame(PlayoutFrame("full"))
