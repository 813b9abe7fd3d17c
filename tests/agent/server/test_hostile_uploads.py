"""Multipart uploads with anything wrong in them, cut anywhere: an answer in form, and their memory given back."""

from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.attacked import Attacked, under_attack
from tests.support.hostile import TEXTS, Witness, at_length, cut_anywhere, mutated, trying
from tests.support.sound_files import tone_s16, wav_of

TONE = wav_of(tone_s16(0.02))
END = b"--cut--\r\n"
KIND = b"multipart/form-data; boundary=cut"
ROUTES = ["/v1/audio/transcriptions", "/v1/audio/translations", "/api/transcribe"]


def part(head: bytes, content: bytes, end: bytes = b"\r\n") -> bytes:
    return b"--cut" + end + head + end + end + content + end


FILE = part(b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', TONE)
VALID = part(b'Content-Disposition: form-data; name="model"', b"whisper-1") + FILE + END


async def uploaded(
    application: Attacked, route: str, kind: bytes, pieces: list[bytes], *, says_length: bool, is_whole: bool
) -> httpx.Response:
    """Send one upload, and check what it leaves."""
    headers = [(b"content-type", kind)] if kind else []
    if says_length:
        headers.append((b"content-length", str(sum(map(len, pieces))).encode()))
    answer = await application.call("POST", route, headers, *pieces, is_whole=is_whole)
    await application.settle()
    jobs = application.state.jobs()
    assert jobs is not None
    assert (jobs.uploads.n_bytes, jobs.n_active) == (0, 0)
    if answer.status_code >= 400 and answer.status_code != 499 and route.startswith("/v1"):
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    return answer


NAMES = st.sampled_from(
    "file model language prompt response_format temperature stream timestamp_granularities[] x".split()
)
VALUES = TEXTS | st.sampled_from([*"json text srt vtt verbose_json true 0.5 word de".split(), "x" * 70_000])
HEADS = st.sampled_from(
    [
        b'Content-Disposition: form-data; name="%s"',
        b"Content-Disposition: form-data; name=%s",
        b'content-disposition:form-data;name="%s";filename=""',
        b'Content-Disposition: form-data; name="%s"; filename="C:\\\\a.wav"',
        b"Content-Disposition: form-data; name*=utf-8''%s",
        b'Content-Disposition: form-data; name="%s"; name="file"',
        b'Content-Disposition: attachment; name="%s"',
        b'Content-Disposition: form-data\r\nX: name="%s"',
        b'Content-Disposition: form-data; name="%s',
        b'Content-Disposition: form-data; name="a%%00%s"',
        b'Content-Type: x\r\nContent-Disposition: form-data; name="%s"\r\nContent-Transfer-Encoding: base64',
        b": %s",
        b"%s",
        b'\xff\xfe: form-data; name="%s"',
        b"X: " + b"x" * 5000 + b"%s",
    ]
)
FIELDS = st.builds(
    lambda head, name, value, end: part(head % name.encode(), value.encode("utf-8", "surrogatepass"), end),
    HEADS,
    NAMES,
    VALUES,
    st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r"]),
)
ODD = st.sampled_from([*b"-- --cut --cut-- \r\n \r \n --cu --cut\r\n\r\n\r\n preamble\r\n".split(b" "), b"\0" * 50])
FORMS = st.builds(
    lambda parts, end: b"".join(parts) + end,
    st.lists(st.one_of(st.just(FILE), FIELDS, FIELDS, ODD), max_size=5),
    st.sampled_from([END, END, END, b"", b"--cut", b"--cut--", END + END, END + b"epilogue" * 50]),
)
ODD_KINDS = b"""
multipart/form-data
multipart/form-data; boundary=
multipart/form-data; boundary="cut"
multipart/form-data; boundary="cut
multipart/form-data; boundary=\xe9
multipart/form-data; boundary*=utf-8''cut
multipart/form-data; boundary=cut; boundary=x
multipart/form-data;;=;boundary=cut
MULTIPART/FORM-DATA; BOUNDARY=cut
multipart/mixed; boundary=cut
text/plain
\xff; boundary=cut""".split(b"\n")
KINDS = st.sampled_from([KIND] * 12 + ODD_KINDS + [KIND + b"x" * 300])


@at_length(80, 1200)
def test_hostile_uploads_are_transcribed_or_refused_in_form(n_examples: int, witness: Witness) -> None:
    with under_attack(witness, max_upload_mb=0.125, upload_memory_mb=0.25) as (application, run):

        @example(ROUTES[0], KIND, VALID, list(range(0, 1000, 3)), True, True)
        @example(ROUTES[0], KIND, FILE * 2 + END, [], False, True)
        @example(ROUTES[0], KIND, part(b"X: y", b"") * 300 + END, [], False, True)
        @example(ROUTES[0], KIND, VALID, [100], False, False)
        @given(
            st.sampled_from(ROUTES),
            KINDS,
            FORMS | mutated(st.just(VALID)),
            st.lists(st.integers(0, 10_000), max_size=6),
            st.booleans(),
            st.sampled_from([True, True, True, False]),
        )
        @trying(n_examples)
        def check(route: str, kind: bytes, body: bytes, cuts: list[int], says_length: bool, is_whole: bool) -> None:
            pieces = cut_anywhere(body, cuts)
            run(uploaded(application, route, kind, pieces, says_length=says_length, is_whole=is_whole))

        check()
        for route in ROUTES:
            answer = run(uploaded(application, route, KIND, [VALID], says_length=True, is_whole=True))
            assert answer.status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_hostile_cuts_of_an_upload_change_nothing(route: str, witness: Witness) -> None:
    with under_attack(witness) as (application, run):

        def text(pieces: list[bytes]) -> Any:
            answer = run(uploaded(application, route, KIND, pieces, says_length=False, is_whole=True))
            return answer.status_code, answer.json()["text"]

        # Through every byte of the heads, and of the last boundary.
        places = [*range(1, VALID.index(TONE) + 2), *range(len(VALID) - len(END) - 4, len(VALID))]
        assert {text([VALID[:at], VALID[at:]]) for at in places} == {(200, "Good day. Café?")}
        assert text([bytes([byte]) for byte in VALID]) == (200, "Good day. Café?")
