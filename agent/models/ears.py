"""The speech-to-text models that can be fetched: Nemotron, Whisper and Moonshine."""

from functools import partial

from agent.models.listing import FileFacts, Listing, hub


def _whisper(language: str, name: str, repo_at_commit: str, description: str, *facts: FileFacts) -> Listing:
    return Listing(name, "stt", "whisper", description, language, "MIT", hub(repo_at_commit), facts)


_english = partial(_whisper, "en")
_multilingual = partial(_whisper, "multilingual")


def _nemotron_english(chunk_ms: int, errors_percent: float, size: int, sha256: str, encoder_bytes: int) -> Listing:
    archive = f"sherpa-onnx-nemotron-speech-streaming-en-0.6b-{chunk_ms}ms-int8-2026-04-25.tar.bz2"
    return Listing(
        f"nemotron-en-{chunk_ms}ms",
        "stt",
        "nemotron",
        f"Nemotron, English, {chunk_ms} ms steps: {errors_percent} % word errors",
        "en",
        "LicenseRef-NVIDIA-Open-Model-License",
        _SHERPA_RELEASE,
        ((archive, size, sha256),),
        (("encoder.int8.onnx", encoder_bytes), *_NEMOTRON_ENGLISH_REST),
    )


def _nemotron_multilingual(chunk_ms: int, size: int, sha256: str, encoder_bytes: int) -> Listing:
    archive = f"sherpa-onnx-nemotron-3.5-asr-streaming-0.6b-{chunk_ms}ms-int8-2026-06-11.tar.bz2"
    return Listing(
        f"nemotron-3.5-{chunk_ms}ms",
        "stt",
        "nemotron",
        f"Nemotron 3.5, 40 locales (8 need fine-tuning), {chunk_ms} ms steps",
        "multilingual",
        "OpenMDW-1.1",
        _SHERPA_RELEASE,
        ((archive, size, sha256),),
        (("encoder.int8.onnx", encoder_bytes), *_NEMOTRON_MULTILINGUAL_REST),
    )


def _moonshine(size_name: str, description: str, size: int, sha256: str, *members: tuple[str, int]) -> Listing:
    archive = f"sherpa-onnx-moonshine-{size_name}-en-quantized-2026-02-27.tar.bz2"
    name = f"moonshine-{size_name}"
    facts = ((archive, size, sha256),)
    return Listing(name, "stt", "moonshine", description, "en", "MIT", _SHERPA_RELEASE, facts, members)


# Each archive holds one directory, named like itself, with these files, a README and sample recordings.
_SHERPA_RELEASE = "https://github.com/k2-fsa/sherpa-onnx/releases/download/asr-models"
_NEMOTRON_ENGLISH_REST = (("decoder.int8.onnx", 7_257_753), ("joiner.int8.onnx", 1_735_862), ("tokens.txt", 8_952))
_NEMOTRON_MULTILINGUAL_REST = (
    ("decoder.int8.onnx", 14_978_075),
    ("joiner.int8.onnx", 9_504_438),
    ("tokens.txt", 131_440),
)

# Files that several Whisper repositories share, byte for byte.
_ENGLISH_TEXT = (
    ("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
    ("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
)
_MULTILINGUAL_TEXT = (
    ("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    ("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)
_V3_COMMON = (
    ("preprocessor_config.json", 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
    ("vocabulary.json", 1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"),
)
_V3_TEXT = (
    *_V3_COMMON,
    ("tokenizer.json", 2_480_617, "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"),
)
_V3_TURBO_TEXT = (
    *_V3_COMMON,
    ("tokenizer.json", 2_710_337, "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"),
)

# Word error rates: English averages of the Hugging Face open ASR leaderboard.
WHISPER_MODELS: tuple[Listing, ...] = (
    _english(
        "tiny.en",
        "Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "Whisper tiny, English: 11.7 % word errors",
        ("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        ("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "tiny",
        "Systran/faster-whisper-tiny@d90ca5fe260221311c53c58e660288d3deb8d356",
        "Whisper tiny, 99 languages",
        ("config.json", 2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
        ("model.bin", 75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "base.en",
        "Systran/faster-whisper-base.en@3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        "Whisper base, English: 10.1 % word errors",
        ("config.json", 2_227, "f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb"),
        ("model.bin", 145_216_508, "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "base",
        "Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "Whisper base, 99 languages",
        ("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        ("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "small.en",
        "Systran/faster-whisper-small.en@d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        "Whisper small, English: 8.3 % word errors",
        ("config.json", 2_657, "666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae"),
        ("model.bin", 483_545_366, "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "small",
        "Systran/faster-whisper-small@536b0662742c02347bc0e980a01041f333bce120",
        "Whisper small, 99 languages",
        ("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
        ("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "medium.en",
        "Systran/faster-whisper-medium.en@a29b04bd15381511a9af671baec01072039215e3",
        "Whisper medium, English",
        ("config.json", 2_643, "4a1848ebabe7938d9797c15a2e8e4ce1d36e6fd4a43d096ae5955257c67c7962"),
        ("model.bin", 1_527_904_330, "11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b"),
        *_ENGLISH_TEXT,
    ),
    _english(
        "distil-large-v3",
        "Systran/faster-distil-whisper-large-v3@c3058b475261292e64a0412df1d2681c06260fab",
        "Distil-Whisper large v3, English: distilled for speed",
        ("config.json", 2_690, "90c55f775cc4e0bb17293d0bf12f96557a486f20dea886fabd8e6075a3588b21"),
        ("model.bin", 1_512_927_867, "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5"),
        *_V3_TEXT,
    ),
    _multilingual(
        "large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo@0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        "Whisper large v3 turbo, 99 languages: 7.1 % word errors",
        ("config.json", 2_263, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
        ("model.bin", 1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
        *_V3_TURBO_TEXT,
    ),
    _multilingual(
        "large-v3",
        "Systran/faster-whisper-large-v3@edaa852ec7e145841d8ffdb056a99866b5f0a478",
        "Whisper large v3, 99 languages: the largest and slowest",
        ("config.json", 2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9"),
        ("model.bin", 3_087_284_237, "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"),
        *_V3_TEXT,
    ),
)

# The safe choice on a CPU first. Word error rates: NVIDIA's chart of the checkpoint, March 2026; these are 8-bit
# exports of it.
NEMOTRON_MODELS: tuple[Listing, ...] = (
    _nemotron_english(
        560,
        7.1,
        463_945_051,
        "78e2b79fcf7271553a74402a76b771b09ea40117a39566a79f52235b23db6358",
        652_916_849,
    ),
    _nemotron_english(
        1120,
        6.9,
        463_945_058,
        "840c48deed02d4a5975716e7b12dc0a8b1ba620776c6366f7e5677d8907edd73",
        652_916_852,
    ),
    _nemotron_english(
        160,
        7.7,
        463_945_198,
        "0ae73a41cd51599dc7cac9ac083d9d35de53d762ca45923505fde47a3751814b",
        652_916_849,
    ),
    _nemotron_english(
        80,
        8.4,
        463_945_379,
        "caaf92069dbd1ca054f8e17cab179813bc28b4585f5c392540357ece4722333d",
        652_916_847,
    ),
    _nemotron_multilingual(
        560,
        475_271_763,
        "c6bf5e0df765f9d5b43bc9e0536d4b4b3e7d40bdf5ecf13e45f134c51c05ae3a",
        657_601_403,
    ),
    _nemotron_multilingual(
        160,
        475_273_363,
        "a81909a1780d84cff16d73c15e13e67d9d81d8839faf14870d507d8499f7a61a",
        657_601_518,
    ),
    _nemotron_multilingual(
        320,
        475_272_949,
        "5f311142337a5c161e92d49f7a3009d8607d3836f39d610bff5307c74d1d2c53",
        657_601_518,
    ),
    _nemotron_multilingual(
        1120,
        475_276_334,
        "adbdd5e9fef87300c37cebfcfc4f1ebe56845c860c8a760af0a1dd65ce9beed3",
        657_601_521,
    ),
    _nemotron_multilingual(
        80,
        475_274_007,
        "fb170128c496db33a1fb9f5f9f823257f42f911224ee218bb429f3c2eaf90a8d",
        657_601_516,
    ),
)

# The English weights are MIT; those of other languages are not, and none of them is here.
MOONSHINE_MODELS: tuple[Listing, ...] = (
    _moonshine(
        "base",
        "Moonshine base, English, 8 bits: its work grows with the sound",
        111_266_225,
        "43232c1d13013d37317163baec3135bd771a186a4356f28c889bab453bb0e891",
        ("encoder_model.ort", 31_326_816),
        ("decoder_model_merged.ort", 109_424_400),
        ("tokens.txt", 549_350),
    ),
    _moonshine(
        "tiny",
        "Moonshine tiny, English, 8 bits",
        29_858_559,
        "9ec31b342d8fa3240c3b81b8f82e1cf7e3ac467c93ca5a999b741d5887164f8d",
        ("encoder_model.ort", 13_281_600),
        ("decoder_model_merged.ort", 30_412_256),
        ("tokens.txt", 549_350),
    ),
)
