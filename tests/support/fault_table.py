"""Every stage and engine x every fault, and where each cell is proved.

The rows come from the lists of engines: a new engine has no kind here, and fails the test until it has one.
"""

from dataclasses import dataclass

from agent.engines.llm_servers import START_COMMANDS
from agent.engines.stt import stt_candidates
from agent.engines.tts import tts_candidates
from agent.settings.load import Settings

FAULTS = ("error", "hang", "crash", "garbage", "slow", "endless", "none", "disk full", "out of memory")


@dataclass(frozen=True)
class Live:
    """Held in a conversation by tests/bench/test_bench_faults.py, or test_bench_transport_faults.py beside it."""

    def __str__(self) -> str:
        return "live"


@dataclass(frozen=True)
class HeldBy:
    """Proved by another test: its file and name."""

    test: str

    def __str__(self) -> str:
        return self.test.rpartition("/")[2].partition("::")[0].removesuffix(".py")


@dataclass(frozen=True)
class Cannot:
    """It cannot happen there, and why."""

    why: str

    def __str__(self) -> str:
        return f"- {self.why}"


Cell = Live | HeldBy | Cannot
LIVE = Live()
CHILDREN = "tests/processors/test_fault_children.py::"
DESKTOP = "tests/transports/test_desktop_stream.py::"
REPLAY = "tests/agent/commands/test_replay.py::"
REPLAY_REFUSALS = "tests/agent/commands/test_replay_refusals.py::"
RECORDER = "tests/transports/test_session_recorder.py::"
TRANSPORTS = ("webrtc", "websocket")
_NO_PROCESS = Cannot("no process of its own: it is the program that crashes")
_NO_DISK = Cannot("writes nothing")
_MODEL: dict[str, Cell] = {
    **dict.fromkeys(FAULTS, LIVE),
    "crash": _NO_PROCESS,
    "endless": Cannot("one number for one window"),
    "none": Cannot("one number for one window"),
    "disk full": _NO_DISK,
}

# How the engines of a kind run decides what can go wrong.
KINDS: dict[str, dict[str, Cell]] = {
    "recognizer in a thread": {**dict.fromkeys(FAULTS, LIVE), "crash": _NO_PROCESS},
    "recognizer in a process": {
        **dict.fromkeys(FAULTS, LIVE),
        "hang": HeldBy(f"{CHILDREN}test_fault_pocketsphinxs_process_hangs_or_dies_and_nothing_is_lost"),
        "crash": HeldBy(f"{CHILDREN}test_fault_pocketsphinxs_process_hangs_or_dies_and_nothing_is_lost"),
    },
    "recognizer at a server": {
        **dict.fromkeys(FAULTS, LIVE),
        "crash": HeldBy(
            "tests/processors/stt/test_stt_openai_failures.py::test_a_server_that_went_away_is_named_with_what_helps"
        ),
    },
    "synthesizer at a server": {
        **dict.fromkeys(FAULTS, LIVE),
        "crash": HeldBy(
            "tests/processors/tts/test_openai_speech.py::test_a_server_that_went_away_is_named_with_what_helps"
        ),
    },
    "synthesizer in a thread": {**dict.fromkeys(FAULTS, LIVE), "crash": _NO_PROCESS},
    "model of a pause": _MODEL,
    "language model at a server": dict.fromkeys(FAULTS, LIVE),
    "language model in a process": {
        **dict.fromkeys(FAULTS, LIVE),
        "hang": HeldBy(
            f"{CHILDREN}test_fault_the_embedded_models_process_hangs_or_dies_and_the_turn_is_answered_by_another"
        ),
        "crash": HeldBy(
            f"{CHILDREN}test_fault_the_embedded_models_process_hangs_or_dies_and_the_turn_is_answered_by_another"
        ),
    },
}
# What is no engine: proved where it stands.
KINDS["recorder"] = {
    **dict.fromkeys(FAULTS, Cannot("a file that is written: the disk is what fails")),
    "disk full": HeldBy(f"{RECORDER}test_a_full_disk_ends_the_recording_with_one_line"),
    "error": HeldBy(f"{RECORDER}test_a_full_disk_ends_the_recording_with_one_line"),
}
KINDS["desktop"] = {
    **dict.fromkeys(FAULTS, Cannot("a device gives and takes blocks of one size, or none")),
    "error": HeldBy(f"{DESKTOP}test_a_lost_device_is_opened_again_and_the_same_sound_goes_on"),
    "hang": HeldBy(f"{DESKTOP}test_a_device_that_falls_silent_without_a_word_is_opened_again"),
    "none": HeldBy(f"{DESKTOP}test_without_a_device_the_microphone_is_silent_and_time_passes"),
    "slow": HeldBy(f"{DESKTOP}test_a_device_that_runs_dry_again_and_again_is_given_more_time"),
}
# The second of two language models is asked by the same service as the first; what is proved is that each stands in.
ROUTING = "tests/processors/llm/test_routing.py::"
_FAILS = HeldBy(
    f"{ROUTING}test_a_model_that_fails_before_a_word_is_replaced_within_the_turn_and_left_alone_for_a_while"
)
KINDS["large language model"] = {
    **dict.fromkeys(FAULTS, _FAILS),
    "crash": HeldBy(f"{ROUTING}test_a_server_that_is_gone_costs_no_turn_and_is_asked_again_once_it_is_back"),
    "none": HeldBy(f"{ROUTING}test_a_model_that_says_nothing_is_replaced_for_that_turn_alone"),
    "endless": HeldBy(f"{ROUTING}test_a_reply_without_an_end_is_cut_and_not_begun_again_by_the_other_model"),
    "disk full": Cannot("its server's, which then fails"),
}
# Of several addresses one fails, and another stands in.
_ADDRESSES = "tests/processors/llm/test_several_addresses.py::"
_MOVES_ON = HeldBy(f"{_ADDRESSES}test_an_answer_that_fails_before_its_first_word_is_begun_elsewhere")
KINDS["one of several addresses"] = {
    "error": HeldBy(f"{_ADDRESSES}test_one_that_refuses_or_fails_costs_nothing_but_a_moment_and_is_left_alone"),
    "hang": HeldBy(
        f"{_ADDRESSES}test_one_that_hangs_before_the_first_chunk_is_passed_over_in_time_and_its_request_closed"
    ),
    "crash": HeldBy(
        f"{_ADDRESSES}test_one_that_dies_in_the_middle_of_a_stream_is_not_asked_again_and_the_next_turn_goes_elsewhere"
    ),
    "garbage": _MOVES_ON,
    "slow": HeldBy(f"{_ADDRESSES}test_a_slow_one_that_answers_first_after_all_is_heard_and_the_other_is_hung_up_on"),
    "endless": Cannot("what has begun is read as from a single address"),
    "none": Cannot("an empty reply is one, and asked for again as at a single address"),
    "disk full": Cannot("its server's, which then fails"),
    "out of memory": _MOVES_ON,
}
# A peer is what fails: it falls silent, reads nothing, or sends what it should not; or our own end of the line does.
_PEER: dict[str, Cell] = {
    **dict.fromkeys(FAULTS, LIVE),
    "disk full": _NO_DISK,
    "out of memory": Cannot("no process of its own, and what waits for a peer is bounded"),
}
KINDS["network"] = _PEER
KINDS["recordings"] = {
    **dict.fromkeys(FAULTS, Cannot("frames of recordings that were read whole before, on a timeline of its own")),
    "error": HeldBy(f"{REPLAY_REFUSALS}test_a_broken_recording_ends_with_2_and_one_line"),
    "garbage": HeldBy(f"{REPLAY_REFUSALS}test_a_broken_recording_ends_with_2_and_one_line"),
    "none": HeldBy(f"{REPLAY}test_silence_is_not_answered_and_says_so"),
    "disk full": HeldBy(f"{REPLAY}test_a_full_disk_ends_a_replay_with_one_line"),
}
# As a peer, but that it comes for one request at a time, and there is no conversation to be held.
WYOMING, HOSTILE = (f"tests/agent/server/test_wyoming{name}.py::" for name in ("", "_hostile"))
# It hears nothing but the word: what fails leaves the agent awake.
_WAKE = "tests/agent/conversation/test_wake.py::test_fault_a_detector_that_"
_FAILS_AWAKE = HeldBy(f"{_WAKE}fails_leaves_the_agent_awake_and_is_told_once")
KINDS["wake word"] = {
    "error": _FAILS_AWAKE,
    "hang": HeldBy(f"{_WAKE}hangs_holds_up_no_sound"),
    "crash": _NO_PROCESS,
    "garbage": HeldBy("tests/processors/wake/test_pymicro.py::test_what_is_no_number_is_an_error"),
    "slow": HeldBy(f"{_WAKE}is_slow_costs_nothing_of_what_follows_the_word"),
    "endless": Cannot("one number for one window"),
    "none": Cannot("silence is its usual answer"),
    "disk full": _NO_DISK,
    "out of memory": HeldBy("tests/processors/wake/test_pymicro.py::test_fault_memory_that_is_short_is_told"),
}
KINDS["client of one request"] = {
    "error": HeldBy(f"{WYOMING}test_who_hangs_up_in_the_middle_frees_the_place_and_the_sound"),
    "hang": HeldBy(f"{HOSTILE}test_time_is_over_for_who_does_not_go_on"),
    "crash": HeldBy(f"{HOSTILE}test_a_client_that_goes_in_the_middle_of_an_event_leaves_nothing"),
    "garbage": HeldBy(f"{HOSTILE}test_what_cannot_be_read_is_told_in_one_line_and_ends_that_connection"),
    "slow": HeldBy(f"{HOSTILE}test_sound_that_trickles_in_loses_its_place"),
    "endless": HeldBy(f"{HOSTILE}test_sound_beyond_every_limit_is_refused_while_it_comes"),
    "none": HeldBy(f"{WYOMING}test_sound_without_a_beginning_or_without_a_sample_is_answered"),
    "disk full": _NO_DISK,
    "out of memory": HeldBy(f"{HOSTILE}test_uploads_that_take_up_the_memory_leave_none_for_sound"),
}
# A voice that is asked by a program: no conversation apologises, the answer tells it.
_SPOKEN = HeldBy(
    "tests/agent/server/test_fault_speech.py::test_fault_of_the_voice_ends_one_answer_in_time_and_no_other"
)
KINDS["speech for a program"] = {
    **dict.fromkeys(FAULTS, _SPOKEN),
    "crash": HeldBy("tests/agent/server/test_speech_synthesis.py::test_the_next_engine_says_what_one_cannot"),
}
ENGINE_KINDS = {
    ("stt", "nemotron"): "recognizer in a thread",
    ("stt", "whisper"): "recognizer in a thread",
    ("stt", "moonshine"): "recognizer in a thread",
    ("stt", "pocketsphinx"): "recognizer in a process",
    ("stt", "openai"): "recognizer at a server",
    ("stt", "foundry"): "recognizer in a thread",
    ("tts", "openai"): "synthesizer at a server",
    ("tts", "kokoro"): "synthesizer in a thread",
    ("tts", "pocket"): "synthesizer in a thread",
    ("tts", "kitten"): "synthesizer in a thread",
    ("tts", "piper"): "synthesizer in a thread",
    ("tts", "espeak"): "synthesizer in a thread",
    ("llm", "endpoint"): "language model at a server",
    ("llm", "foundry"): "language model at a server",
    ("llm", "embedded"): "language model in a process",
    ("large", "any"): "large language model",
    ("addresses", "any"): "one of several addresses",
    ("recorder", "file"): "recorder",
    ("transport", "desktop"): "desktop",
    ("transport", "recorded"): "recordings",
    ("transport", "webrtc"): "network",
    ("transport", "websocket"): "network",
    ("door", "wyoming"): "client of one request",
    ("door", "speech"): "speech for a program",
    ("vad", "silero"): "model of a pause",
    ("wake", "pymicro"): "wake word",
    ("turn", "smart-turn"): "model of a pause",
    **{("llm", name): "language model at a server" for name in START_COMMANDS},
}


def engines() -> list[tuple[str, str]]:
    """Every engine that settings can name: (stage, name)."""
    found = [("stt", one.engine) for one in stt_candidates(Settings())]
    for name in ("openai", "foundry"):
        named = Settings.model_validate({"stt": {"engine": name}})
        found += [("stt", one.engine) for one in stt_candidates(named)]
    found += [("tts", one.engine) for one in tts_candidates(Settings.model_validate({"tts": {"engine": "openai"}}))]
    found += [("llm", name) for name in ("endpoint", *START_COMMANDS, "embedded", "foundry")]
    found += [("large", "any"), ("addresses", "any"), ("vad", "silero"), ("turn", "smart-turn"), ("recorder", "file")]
    found += [("transport", name) for name in ("desktop", "recorded", *TRANSPORTS)]
    found += [("door", "wyoming"), ("door", "speech"), ("wake", "pymicro")]
    return list(dict.fromkeys(found))


def rows() -> dict[str, dict[str, Cell]]:
    """The table: {row: {fault: cell}}.

    Raises:
        KeyError: An engine has no kind.
    """
    return {f"{stage} {name}": KINDS[ENGINE_KINDS[stage, name]] for stage, name in engines()}


def live_cells() -> list[tuple[str, str]]:
    """(stage, fault) of the conversations that are to be held: once for all engines of a stage."""
    cells = [
        (stage, fault)
        for (stage, name) in engines()
        for fault, cell in KINDS[ENGINE_KINDS[stage, name]].items()
        if isinstance(cell, Live) and stage != "transport"
    ]
    return list(dict.fromkeys(cells))


def transport_cells() -> list[tuple[str, str]]:
    """(transport, fault) of the calls that are to be held by tests/bench/test_bench_transport_faults.py."""
    return [
        (name, fault)
        for name in TRANSPORTS
        for fault, cell in KINDS[ENGINE_KINDS["transport", name]].items()
        if isinstance(cell, Live)
    ]


def written_cells() -> list[tuple[str, str, bool]]:
    """(stage, fault, whether the answer is spoken) of the typed conversations that are to be held.

    What is typed is neither recognized nor judged, and what is written is not spoken.
    """
    answers = {"llm": (False, True), "tts": (True,), "vad": (False,)}
    return [(stage, fault, spoken) for stage, fault in live_cells() for spoken in answers.get(stage, ())]
