"""The voices that can be fetched: Kokoro's 54 in one model, Kitten's eight, and Piper's, one a model.

Each licence is the one that the voice's model card states for its recordings.
"""

from agent.models.listing import Listing, hub

_KOKORO_RELEASES = "https://github.com/thewh1teagle/kokoro-onnx/releases/download"
_KOKORO_VOICES = ("voices-v1.0.bin", 28_214_398, "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d")
_PIPER = "rhasspy/piper-voices@0d907f158acc877ddeebcbf827659ee13bea8bcd"


def _kokoro(name: str, release: str, file_name: str, description: str, size_bytes: int, sha256: str) -> Listing:
    files = ((file_name, size_bytes, sha256), _KOKORO_VOICES)
    base_url = f"{_KOKORO_RELEASES}/{release}"
    return Listing(name, "tts", "kokoro", description, "multilingual", "Apache-2.0", base_url, files)


def _piper(
    voice: str, licence: str, description: str, model: tuple[int, str], config: tuple[int, str], quality: str = "medium"
) -> Listing:
    """A voice of the collection's folder `en/en_US/joe/medium`, from `en_US-joe`; its files carry the same words."""
    locale, _, speaker = voice.partition("-")
    language = locale.partition("_")[0]
    name = f"{voice}-{quality}.onnx"
    return Listing(
        f"piper-{speaker.replace('_', '-')}",
        "tts",
        "piper",
        description,
        language,
        licence,
        f"{hub(_PIPER)}/{language}/{locale}/{speaker}/{quality}",
        ((name, *model), (f"{name}.json", *config)),
    )


# Release 1.1 holds the same weights as 1.0, exported with a duration output: words are timed exactly.
KOKORO_MODELS: tuple[Listing, ...] = (
    _kokoro(
        "kokoro",
        "model-files-v1.1",
        "kokoro-v1.0.onnx",
        "Kokoro 82M, 54 voices, full precision",
        325_505_369,
        "beb0d1848dee9a49da392cc3df26958d46cfa35d321edf434f52949153f0df3a",
    ),
    _kokoro(
        "kokoro-int8-timed",
        "model-files-v1.1",
        "kokoro-v1.0.int8.onnx",
        "Kokoro 82M, 54 voices, 8 bits, with exact word times",
        114_119_327,
        "ae315a79b623f244700e4afb9246c46a26066782e049ba174bf3ba433970ee9c",
    ),
    _kokoro(
        "kokoro-int8",
        "model-files-v1.0",
        "kokoro-v1.0.int8.onnx",
        "Kokoro 82M, 54 voices, 8 bits: the smallest",
        92_361_271,
        "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb",
    ),
)

PIPER_MODELS: tuple[Listing, ...] = (
    _piper(
        "en_US-joe",
        "CC0-1.0",
        "Piper: Joe, American; about six times as fast as Kokoro",
        (63_201_294, "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"),
        (4_794, "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33"),
    ),
    _piper(
        "en_US-kristin",
        "LicenseRef-public-domain",
        "Piper: Kristin, American",
        (63_531_379, "5849957f929cbf720c258f8458692d6103fff2f0e3d3b19c8259474bb06a18d4"),
        (4_968, "5681426d4aead22195de70531eeeeddb46493cfaffc5764b2ea3db73428b651c"),
    ),
    _piper(
        "en_GB-cori",
        "LicenseRef-public-domain",
        "Piper: Cori, British",
        (63_531_379, "1899f98e5fb8310154f3c2973f4b8a929ba7245e722b3d3a85680b833d95f10d"),
        (4_966, "e262c16d7f192f69d4edd6b4ef8a5915379e67495fcc402f1ab15eeb33da3d36"),
    ),
    _piper(
        "en_GB-alba",
        "CC-BY-4.0",
        "Piper: Alba, Scottish",
        (63_201_294, "401369c4a81d09fdd86c32c5c864440811dbdcc66466cde2d64f7133a66ad03b"),
        (4_888, "aa965a2f02ecced632c2694e1fc72bbff6d65f265fab567ca945918c73dd89f4"),
    ),
    _piper(
        "de_DE-thorsten",
        "CC0-1.0",
        "Piper: Thorsten, German",
        (63_201_294, "7e64762d8e5118bb578f2eea6207e1a35a8e0c30595010b666f983fc87bb7819"),
        (4_819, "974adee790533adb273a1ac88f49027d2a1b8f0f2cf4905954a4791e79264e85"),
    ),
    _piper(
        "es_ES-davefx",
        "CC0-1.0",
        "Piper: Davefx, Spanish",
        (63_201_294, "6658b03b1a6c316ee4c265a9896abc1393353c2d9e1bca7d66c2c442e222a917"),
        (4_817, "0e0dda87c732f6f38771ff274a6380d9252f327dca77aa2963d5fbdf9ec54842"),
    ),
)

_SHERPA_RELEASE = "https://github.com/k2-fsa/sherpa-onnx/releases/download/tts-models"
KITTEN_MODELS: tuple[Listing, ...] = (
    Listing(
        "kitten",
        "tts",
        "kitten",
        "Kitten nano 0.1: eight English voices of 15 million parameters",
        "en",
        "Apache-2.0",
        _SHERPA_RELEASE,
        (
            (
                "kitten-nano-en-v0_1-fp16.tar.bz2",
                26_855_312,
                "f35dac93754fe2ac97c66e1f468311d0d2130f7f0f5a89bfa1197e09a0cbdec5",
            ),
        ),
        (("model.fp16.onnx", 23_848_586), ("voices.bin", 8_192), ("tokens.txt", 1_064)),
    ),
)
