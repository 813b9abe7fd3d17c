"""The audit tells which variables that could lead out a library reads, and takes no copy of all of them for that."""

import os
import sys
from pathlib import Path

import pytest

from agent.audit.run import audit

SET = {
    "SOMEBODYS_HTTP_PROXY": "http://127.0.0.1:9",
    "SOMEBODYS_API_KEY": "key",
    "OTHER_TELEMETRY_URL": "http://127.0.0.1:9",
}
PROGRAM = """
import os, sys
sys.path.insert(0, "site-packages")
import reporter
os.environ.get("OWN_TELEMETRY_URL")
"""


def variables_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, *, native: bool = False
) -> dict[str, str]:
    """Variables that are told of a library whose source is given, each with the library that is said to read it."""
    for name, value in SET.items():
        monkeypatch.setenv(name, value)
    # The program's folder is made by the audit: the library is written by the program itself.
    write = f"import os\nos.mkdir('site-packages'); open('site-packages/reporter.py', 'w').write({library!r})\n"
    sample = tmp_path / "sample.py"
    sample.write_text(write + PROGRAM, encoding="utf-8")
    report = audit(
        [sys.executable, str(sample)],
        tmp_path / "audit",
        inherited=os.environ,
        timeout_secs=100,
        native=native,
        isolated=native,
    )
    assert report.returncode == 0, report.output
    assert report.findings == ()
    return {finding.subject: finding.culprit for finding in report.others if finding.kind == "variable"}


def by_the_library(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "reporter")


@pytest.mark.parametrize("native", [pytest.param(True, marks=pytest.mark.network), False])
def test_variables_that_a_library_reads_to_be_led_out_are_told_and_are_no_findings(
    tmp_path: Path, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = """
import os
os.environ.get("REPORTER_ENDPOINT"), os.getenv("REPORTER_API_KEY"), "REPORTER_TRACKING" in os.environ
os.environ.get("COLUMNS"), os.environ.get("HOME")
"""
    assert variables_read(tmp_path, monkeypatch, library, native=native) == by_the_library(
        "REPORTER_ENDPOINT", "REPORTER_API_KEY", "REPORTER_TRACKING"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("HTTPS_PROXY", "DO_NOT_TRACK", "LANGSMITH_TRACING", "X_TRACE", "AWS_ACCESS_KEY_ID", "SENTRY_DSN"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "HF_HUB_OFFLINE", "OTEL_EXPORTER", "SSL_CERT_FILE", "X_SECRET"),
    ],
)
def test_a_name_that_could_lead_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert variables_read(tmp_path, monkeypatch, f"import os\nos.environ.get({name!r})") == by_the_library(name)


@pytest.mark.skipif(sys.platform == "win32", reason="variables are no bytes there")
@pytest.mark.parametrize("way", ["os.getenvb(b'X_URL')", "os.environb.get(b'X_URL')", "b'X_URL' in os.environb"])
def test_a_name_in_bytes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    assert variables_read(tmp_path, monkeypatch, f"import os\n{way}") == by_the_library("X_URL")


@pytest.mark.parametrize(
    "copy",
    [
        "dict(os.environ)",
        "{**os.environ}",
        "dict(**os.environ)",
        "os.environ.copy()",
        "os.environ | {}",
        "list(os.environ.items()), list(os.environ.values())",
        "{name: os.environ[name] for name in os.environ}",
        "[os.environ.get(name) for name in sorted(os.environ) if name in os.environ]",
        "dict(os.environb) if os.supports_bytes_environ else None",
    ],
)
def test_a_copy_of_all_variables_is_nobodys_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str
) -> None:
    assert variables_read(tmp_path, monkeypatch, f"import os\n{copy}") == {}


def test_what_is_read_beside_a_copy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = "import os\ndict(os.environ), os.environ.get('SOMEBODYS_API_KEY'), dict(os.environ)"
    assert variables_read(tmp_path, monkeypatch, library) == by_the_library("SOMEBODYS_API_KEY")


def test_many_names_of_its_own_that_a_library_reads_are_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"REPORTER_{n}_URL" for n in range(100)]
    library = f"import os\nfor name in {names!r} + ['SOMEBODYS_API_KEY']: os.environ.get(name)"
    assert variables_read(tmp_path, monkeypatch, library) == by_the_library(*names, "SOMEBODYS_API_KEY")


@pytest.mark.parametrize(
    "search",
    [
        "urllib.request.getproxies_environment()",
        "[value for name, value in os.environ.items() if name.endswith('_PROXY')]",
        "[value for name, value in os.environ.items() if name.lower().endswith(('_ftp', '_proxy'))]",
        "[os.environ[name] for name in os.environ if name.endswith('Y') and 'PROXY' in name]",
    ],
)
def test_who_goes_through_all_variables_in_search_of_some_means_those(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    library = f"import os, urllib.request\n{search}"
    read = variables_read(tmp_path, monkeypatch, library)
    # A proxy of this machine's own would be told, too.
    assert read["SOMEBODYS_HTTP_PROXY"] == "reporter"
    assert not {"SOMEBODYS_API_KEY", "OTHER_TELEMETRY_URL"} & set(read)


def test_who_searches_for_a_prefix_means_what_begins_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = "import os\nfound = {name: v for name, v in os.environ.items() if name.startswith('SOMEBODYS_')}"
    assert variables_read(tmp_path, monkeypatch, library) == by_the_library("SOMEBODYS_HTTP_PROXY", "SOMEBODYS_API_KEY")


def test_a_program_in_anothers_place_has_reads_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = """
import os, sys
if "SECOND" in os.environ:
    dict(os.environ)
else:
    os.environ.get("SOMEBODYS_API_KEY")
    os.environ["SECOND"] = "1"
    os.execv(sys.executable, [sys.executable, "-c", "import sys; sys.path.insert(0, 'site-packages'); import reporter"])
"""
    assert variables_read(tmp_path, monkeypatch, library) == by_the_library("SOMEBODYS_API_KEY")
