"""HTTP to a server with OpenAI's audio API: what it lists, what is posted, and every failure in one line.

In:  form fields and a WAV, or JSON.   Out: the JSON object that it answers, or its sound piece by piece.

Plain httpx instead of the `openai` package: that one takes further headers and an organisation from variables of the
environment, and sends an upload again by itself. Sound goes to the configured endpoint and nowhere else: proxies and
logins of the environment are not used, and redirects are not followed, so the token stays with the host it was set for.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from processors.address_asking import GROUP_URL
from processors.address_line import AddressLine, AddressLoop
from processors.addresses import AddressGroup
from processors.clean_text import clean_text
from processors.errors import EngineError, EngineUnavailableError
from processors.http_line import Line, Streamed
from processors.shown_url import shown_url

CONNECT_TIMEOUT_SECS = 5.0
# Servers drop an idle connection after 5 s (uvicorn); a request on it at that very moment would be lost.
KEEP_ALIVE_SECS = 3.0
MAX_ANSWER_BYTES = 8 << 20
MAX_QUOTED_CHARS = 200
MAX_QUOTED_BYTES = 64 << 10
# A server without a list of models answers so.
NO_SUCH_ROUTE = (404, 405, 501)


@dataclass(frozen=True)
class Service:
    """What a server is asked for, as messages name it.

    Attributes:
        section: Of the settings: `stt` or `tts`.
        kind: Of the server, such as `speech-to-text`.
    """

    section: str
    kind: str


EARS = Service("stt", "speech-to-text")
VOICE = Service("tts", "text-to-speech")


class ServerError(EngineError):
    """The server did not do what was asked.

    Args:
        message: One line: what, at which address.
        mend: What the user can do about it.
        status: The HTTP status that it refused with; None where it gave no usable answer.
        may_pass: Whether the same request may work a little later.
    """

    def __init__(self, message: str, mend: str, *, status: int | None = None, may_pass: bool = False) -> None:
        super().__init__(f"{message}: {mend}")
        self.reason = message
        self.mend = mend
        self.status = status
        self.may_pass = may_pass


class OpenAIClient:
    """One server; any number of threads may ask it at the same time.

    Args:
        base_url: Usually ends in /v1; a user name and password in it are sent as basic authentication.
        api_key: Bearer token, if the server wants one.
        timeout_secs: The longest wait for the whole of an answer.
        service: What it is asked for.
        addresses: Where it is asked instead, each with its own token, if that is more than one address.

    Raises:
        EngineUnavailableError: The address is no URL, or the token cannot be sent.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout_secs: float,
        service: Service = EARS,
        addresses: AddressGroup | None = None,
    ) -> None:
        self._service = service
        self._setting = f"{service.section}.base_url"
        self.shown = shown_url(base_url).rstrip("/")
        self.timeout_secs = timeout_secs
        self._base_url = base_url.rstrip("/")
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise EngineUnavailableError(
                f"{service.section}.api_key holds characters that no HTTP header can carry", "set it anew"
            )
        self._headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "sotto"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        try:
            secure = urlsplit(base_url).scheme == "https"
            httpx.URL(base_url)
        except (ValueError, httpx.InvalidURL) as error:
            raise EngineUnavailableError(
                f"{self._setting} is no URL: {self.shown}", "give one such as http://127.0.0.1:8000/v1"
            ) from error
        # The system's own certificates, so that a house may have an authority of its own.
        self._verify = ssl.create_default_context() if secure else False
        self._secrets = (api_key,) if api_key else ()
        self._loop: AddressLoop | None = None
        if addresses is not None:
            self._base_url, self.shown, self._secrets = GROUP_URL, addresses.shown, addresses.secrets
            self._headers.pop("Authorization", None)
            self._loop = AddressLoop(addresses, ssl.create_default_context() if addresses.needs_tls else False)
        self._idle_lines: list[Line] = []
        self._closed = False

    def models(self) -> tuple[str, ...]:
        """The models that the server lists; none where it keeps no list.

        Raises:
            ServerError: It does not answer, or refuses the token.
        """
        timeout_secs = min(self.timeout_secs, CONNECT_TIMEOUT_SECS)
        response, body = self._send("GET", "/models", timeout_secs)
        if response.status_code in NO_SUCH_ROUTE:
            return ()
        if response.status_code != 200:
            raise self._refusal(response, body, "/models", None)
        listing = _json(body)
        entries = listing.get("data") if isinstance(listing, dict) else None
        names = [entry.get("id") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        return tuple(name for name in names if isinstance(name, str) and name and name.isprintable())

    def post(
        self, route: str, fields: dict[str, str | list[str]], wav: bytes, *, timeout_secs: float | None = None
    ) -> dict[str, Any]:
        """Upload a recording and take the answer.

        Args:
            route: `/audio/transcriptions` or `/audio/translations`.
            fields: The form, without the file.
            wav: A WAV file.
            timeout_secs: The longest wait; the client's own by default.

        Raises:
            ServerError: No answer, a refusal, or no JSON object.
        """
        files = {"file": ("speech.wav", wav, "audio/wav")}
        response, body = self._send("POST", route, timeout_secs or self.timeout_secs, data=fields, files=files)
        if response.status_code != 200:
            raise self._refusal(response, body, route, str(fields.get("model")))
        answer = _json(body)
        if not isinstance(answer, dict):
            kind = response.headers.get("content-type", "nothing").split(";")[0]
            raise ServerError(
                f"{self.shown}{route} answers {self._quote(kind)}, no JSON object",
                f"set {self._setting} to an OpenAI-compatible server; its path mostly ends in /v1",
            )
        return answer

    def listing(self, route: str) -> Any:
        """What a server lists there; None where it keeps no such list, or is not to be read.

        Raises:
            ServerError: It does not answer.
        """
        response, body = self._send("GET", route, min(self.timeout_secs, CONNECT_TIMEOUT_SECS))
        return _json(body) if response.status_code == 200 else None

    @contextmanager
    def streaming(
        self,
        route: str,
        fields: dict[str, Any],
        *,
        timeout_secs: float,
        on_start: Callable[[Streamed], None] = lambda _: None,
    ) -> Iterator[Streamed]:
        """Post JSON, and read the answer while it comes; leaving early ends the request.

        Args:
            route: Such as `/audio/speech`.
            fields: The JSON object.
            timeout_secs: For the whole of the answer; between two pieces it is the client's own time.
            on_start: Is given the answer before it has come, so that the wait for it can be stopped, too.

        Raises:
            ServerError: No answer, a refusal, or one that broke off; one that was stopped before it came. None where
                `Streamed.stop` was called later.
        """
        silence_secs = min(timeout_secs, self.timeout_secs)
        timeout = httpx.Timeout(silence_secs, connect=min(silence_secs, CONNECT_TIMEOUT_SECS))
        line = self._take_line()
        streamed = Streamed(line)
        on_start(streamed)
        has_come = False
        try:
            with (
                line.bounded(timeout_secs),
                line.client.stream(
                    "POST", self._base_url + route, json=fields, timeout=timeout, extensions={"trace": line.trace}
                ) as response,
            ):
                self._check_plain(response, route)
                if response.status_code != 200:
                    raise self._refusal(response, _beginning(response), route, str(fields.get("model")))
                streamed.begin(response)
                has_come = True
                yield streamed
            if line.overdue and not streamed.is_stopped:
                raise httpx.ReadTimeout("cut off")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            if not (streamed.is_stopped and has_come):
                waited_secs = timeout_secs if line.overdue else silence_secs
                raise self._failure(error, waited_secs, overdue=line.overdue) from error
        finally:
            streamed.end()
            self._give_back(line)

    def close(self) -> None:
        """Close every connection, those in use with the end of their requests."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle_lines.pop().client.close()
        if self._loop is not None:
            self._loop.close()

    def _send(self, method: str, route: str, timeout_secs: float, **content: Any) -> tuple[httpx.Response, bytes]:
        timeout = httpx.Timeout(timeout_secs, connect=min(timeout_secs, CONNECT_TIMEOUT_SECS))
        body = bytearray()
        line = self._take_line()
        content["extensions"] = {"trace": line.trace}
        try:
            with (
                line.bounded(timeout_secs),
                line.client.stream(method, self._base_url + route, timeout=timeout, **content) as response,
            ):
                self._check_plain(response, route)
                for part in response.iter_bytes():
                    body += part
                    if len(body) > MAX_ANSWER_BYTES:
                        raise ServerError(
                            f"{self.shown}{route} answers more than {MAX_ANSWER_BYTES >> 20} MiB",
                            f"correct {self._setting}",
                        )
            if line.overdue:
                # An answer without a length seems to end where it was cut.
                raise httpx.ReadTimeout("cut off")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failure(error, timeout_secs, overdue=line.overdue) from error
        finally:
            self._give_back(line)
        return response, bytes(body)

    def _check_plain(self, response: httpx.Response, route: str) -> None:
        """A few packed bytes could be unpacked into more than there is memory for."""
        packed = response.headers.get("content-encoding", "identity")
        if packed.lower() != "identity":
            raise ServerError(
                f"{self.shown}{route} answers packed ({self._quote(packed)}), which it was asked not to",
                "look at its settings",
            )

    def _take_line(self) -> Line:
        with suppress(IndexError):
            return self._idle_lines.pop()
        if self._loop is not None:
            to_any = AddressLine(self._loop)
            client = httpx.Client(headers=self._headers, trust_env=False, follow_redirects=False, transport=to_any)
            return Line(client, to_any.cut)
        return Line(
            httpx.Client(
                headers=self._headers,
                trust_env=False,
                follow_redirects=False,
                verify=self._verify,
                limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE_SECS),
            )
        )

    def _give_back(self, line: Line) -> None:
        if line.overdue:
            line.client.close()
            return
        self._idle_lines.append(line)
        if self._closed:
            self.close()

    def _failure(self, error: Exception, timeout_secs: float, *, overdue: bool) -> ServerError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ServerError(
                f"no {self._service.kind} server answers at {self.shown} ({self._quote(str(error))})",
                f"start it, or correct {self._setting}",
            )
        if overdue or isinstance(error, httpx.TimeoutException):
            return ServerError(
                f"the {self._service.kind} server at {self.shown} gave no answer within {round(timeout_secs, 2):g} s",
                f"raise {self._service.section}.timeout_secs, or run a smaller model there",
                may_pass=True,
            )
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return ServerError(f"{self._setting} is no URL: {self.shown}", "give one such as http://127.0.0.1:8000/v1")
        return ServerError(
            f"the {self._service.kind} server at {self.shown} broke off"
            f" ({type(error).__name__}: {self._quote(str(error))})",
            "look at its log",
            may_pass=True,
        )

    def _refusal(self, response: httpx.Response, body: bytes, route: str, model: str | None) -> ServerError:
        status = response.status_code
        said = f"HTTP {status}, {self._quote(_message(body) or response.reason_phrase)}"
        server = f"the {self._service.kind} server at {self.shown}"
        if status in (401, 403):
            return ServerError(
                f"{server} refused the API key ({said})", f"set {self._service.section}.api_key", status=status
            )
        if 300 <= status < 400:
            target = shown_url(response.headers.get("location", "nowhere"))
            return ServerError(
                f"{server} redirects to {self._quote(target)}, which is not followed",
                f"set {self._setting} to where it leads",
                status=status,
            )
        if status == 404:
            return ServerError(
                f"{self.shown}{route} does not know model {model} ({said})",
                f"set {self._service.section}.model to one that {self.shown}/models lists, or correct {self._setting}",
                status=status,
            )
        if status == 429:
            return ServerError(f"{server} is busy ({said})", "try again in a moment", status=status, may_pass=True)
        if status >= 500:
            return ServerError(f"{server} failed ({said})", "look at its log", status=status, may_pass=status == 503)
        return ServerError(f"{server} refused the request ({said})", "look at its log", status=status)

    def _quote(self, text: str) -> str:
        """One short line in which a server that echoes the token does not get it into a log."""
        line = " ".join(clean_text(text).split())
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line if len(line) <= MAX_QUOTED_CHARS else line[: MAX_QUOTED_CHARS - 1] + "…"


def _beginning(response: httpx.Response) -> bytes:
    """Of a refusal as much as is worth reading."""
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_QUOTED_BYTES:
            break
    return bytes(body)


def _json(body: bytes) -> Any:
    """The value, or None of a body that is no JSON."""
    try:
        return httpx.Response(200, content=body).json()
    except (ValueError, RecursionError):
        return None


def _message(body: bytes) -> str:
    """What an error says: OpenAI's object, FastAPI's, or the bare text."""
    content = _json(body)
    if isinstance(content, dict):
        inner = content.get("error", content)
        if isinstance(inner, dict):
            inner = inner.get("message") or inner.get("detail") or inner
        return str(inner)
    return body.decode("utf-8", "replace")
