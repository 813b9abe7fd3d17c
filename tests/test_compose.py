"""The container files, checked without an engine: schema, ports, health, and that what they run exists.

Fakes, for what runs inside containers: a script in the place of `ollama`, an HTTP server in that of the agent.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from tests.conftest import REPOSITORY

COMPOSE = REPOSITORY / "docker-compose.yml"
DOCKERFILE = REPOSITORY / "Dockerfile"
# What the third-party images can run, as their own Dockerfiles and documentation say.
IMAGE_COMMANDS = {
    "ollama/ollama": [["ollama", "serve"], ["/bin/sh", "-c"]],
    "vllm/vllm-openai": [["vllm", "serve"]],
    "prom/prometheus": [["/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml"]],
    "grafana/grafana": [["/run.sh"]],
}
VARIABLE = re.compile(r"\$\{(?P<name>\w+):-(?P<default>[^${}]*)\}")


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put in variables and defaults as Compose does, from the innermost outwards; `$$` becomes `$`.

    Raises:
        ValueError: A variable has no default.
    """
    while (filled := VARIABLE.sub(lambda found: variables.get(found["name"]) or found["default"], text)) != text:
        text = filled
    if bare := re.search(r"(?<!\$)\$(?:\$\$)*(?!\$)\S{0,20}", text):
        raise ValueError(f"variable without a default: {bare[0]}")
    return text.replace("$$", "$")


def rendered(**variables: str) -> dict[str, Any]:
    """docker-compose.yml as the engine would see it."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, list):
            return [walk(value) for value in node]
        return interpolate(node, variables) if isinstance(node, str) else node

    return walk(yaml.safe_load(COMPOSE.read_text()))


def services(**variables: str) -> dict[str, dict[str, Any]]:
    return rendered(**variables)["services"]


def argv(service: Mapping[str, Any]) -> list[str]:
    return [*service.get("entrypoint", []), *service.get("command", [])]


def instruction(name: str) -> list[str]:
    """The arguments of every such instruction in the Dockerfile, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def schema_complaints(*paths: Path) -> str:
    """What the Compose specification's schema, as check-jsonschema carries it, says against files."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    assert "Schema validation errors" in done.stdout, f"{done.stdout}{done.stderr}"
    return done.stdout


def test_the_compose_file_follows_the_specification(tmp_path: Path) -> None:
    (tmp_path / "rendered.yml").write_text(yaml.safe_dump(rendered()))
    assert schema_complaints(COMPOSE, tmp_path / "rendered.yml") == ""


@pytest.mark.parametrize(
    ("good", "bad", "complaint"),
    [
        ("restart: unless-stopped", "restarts: unless-stopped", "restarts"),
        ("condition: service_healthy", "condition: healthy", "healthy"),
        ("  ollama-models:\n  vllm", "  ollama-models: 3\n  vllm", "ollama-models"),
    ],
)
def test_a_wrong_key_or_value_is_found_by_the_schema(tmp_path: Path, good: str, bad: str, complaint: str) -> None:
    text = COMPOSE.read_text()
    assert good in text
    (tmp_path / "broken.yml").write_text(text.replace(good, bad, 1))
    assert complaint in schema_complaints(tmp_path / "broken.yml")


def test_variables_are_filled_in_as_compose_does() -> None:
    text = "${A:-${B:-c}}/${A:-}/$$D"
    assert interpolate(text, {}) == "c//$D"
    assert interpolate(text, {"B": "b"}) == "b//$D"
    assert interpolate(text, {"A": "a", "B": "b"}) == "a/a/$D"


@pytest.mark.parametrize("text", ["$A", "${A}", "${A:?}", "x$$$A", "${A-b}"])
def test_a_variable_without_a_default_is_found(text: str) -> None:
    with pytest.raises(ValueError, match="without a default"):
        interpolate(text, {})


def test_every_variable_has_a_default() -> None:
    assert "$" not in json.dumps({**services(), "ollama-pull": {}})


def test_ports_are_published_on_loopback_only() -> None:
    from agent.settings.serving import ServerSettings

    assert ServerSettings.model_fields["port"].default == 7860
    assert instruction("EXPOSE") == ["7860"]
    published = {name: service["ports"] for name, service in services().items() if "ports" in service}
    assert published == {
        "agent": ["127.0.0.1:7860:7860"],
        "ollama": ["127.0.0.1:11434:11434"],
        "vllm": ["127.0.0.1:8000:8000"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert services(AGENT_PORT="8080")["agent"]["ports"] == ["127.0.0.1:8080:7860"]
    # What reads the agent's figures is part of its machine, and opens no port to the host.
    modes = {name: service["network_mode"] for name, service in services().items() if "network_mode" in service}
    assert modes == {"prometheus": "service:agent"}


def test_every_service_has_a_health_check_or_runs_once() -> None:
    for name, service in services().items():
        in_image = "build" in service and len(instruction("HEALTHCHECK")) == 1
        runs_once = service["restart"] == "no"
        assert ("healthcheck" in service or in_image) != runs_once, name


def test_every_dependency_is_a_service_and_waits_for_what_that_service_can_tell() -> None:
    all_services = services()
    for name, service in all_services.items():
        for other, rule in service.get("depends_on", {}).items():
            runs_once = all_services[other]["restart"] == "no"
            expected = "service_completed_successfully" if runs_once else "service_healthy"
            assert rule["condition"] == expected, f"{name} -> {other}"
            # A service that waits for one of another profile could not start without that profile.
            needs = set(all_services[other].get("profiles", [])) <= set(service.get("profiles", []))
            assert rule.get("required", True) == needs, f"{name} -> {other}"


def test_models_stay_in_named_volumes() -> None:
    mounted = {
        name: service["volumes"]
        for name, service in services().items()
        if "volumes" in service and "metrics" not in service.get("profiles", [])
    }
    assert mounted == {
        "agent": ["sotto-models:/models"],
        "ollama": ["ollama-models:/models"],
        "vllm": ["vllm-models:/models"],
    }
    assert set(rendered()["volumes"]) == {"sotto-models", "ollama-models", "vllm-models", "prometheus-data"}
    assert services()["agent"]["environment"]["SOTTO_MODELS_DIR"] == "/models"
    assert services()["ollama"]["environment"]["OLLAMA_MODELS"] == "/models"
    assert services()["vllm"]["environment"]["HF_HOME"] == "/models"


def test_vllm_and_the_metrics_wait_for_their_profiles() -> None:
    profiles = {name: service.get("profiles", []) for name, service in services().items()}
    assert profiles == {
        "agent": [],
        "ollama": [],
        "ollama-pull": [],
        "vllm": ["vllm"],
        "prometheus": ["metrics"],
        "grafana": ["metrics"],
    }


def test_third_party_images_run_commands_that_they_have() -> None:
    for name, service in services().items():
        if "build" not in service:
            image = service["image"].split(":")[0]
            assert argv(service)[:2] in IMAGE_COMMANDS[image], name
    assert services()["ollama"]["healthcheck"]["test"] == ["CMD", "ollama", "list"]
    assert argv(services(VLLM_MODEL="org/name")["vllm"])[2] == "org/name"


@pytest.mark.parametrize(
    ("variables", "on_disk", "calls"),
    [
        ({}, "", ["show qwen3:1.7b", "pull qwen3:1.7b"]),
        ({}, "qwen3:1.7b", ["show qwen3:1.7b"]),
        ({"OLLAMA_MODEL": "a b"}, "qwen3:1.7b", ["show a b", "pull a b"]),
        ({"SOTTO_LLM__BASE_URL": "http://127.0.0.1:11434/v1"}, "qwen3:1.7b", ["show qwen3:1.7b"]),
        ({"SOTTO_LLM__BASE_URL": "http://vllm:8000/v1"}, "", []),
    ],
)
def test_the_model_is_pulled_once_and_only_for_ollama(
    tmp_path: Path, variables: dict[str, str], on_disk: str, calls: list[str]
) -> None:
    log = tmp_path / "calls"
    log.touch()
    fake = tmp_path / "ollama"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {log}\n[ "$1" = pull ] || [ "$2" = "{on_disk}" ]\n')
    fake.chmod(0o755)
    service = services(**variables)["ollama-pull"]
    environment = {**service["environment"], "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(argv(service), env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert log.read_text().splitlines() == calls


@pytest.mark.parametrize(
    ("variables", "base_url", "model"),
    [
        ({}, "http://ollama:11434/v1", "qwen3:1.7b"),
        ({"OLLAMA_MODEL": "x:1b"}, "http://ollama:11434/v1", "x:1b"),
        ({"SOTTO_LLM__BASE_URL": "http://vllm:8000/v1", "SOTTO_LLM__MODEL": "o/m"}, "http://vllm:8000/v1", "o/m"),
    ],
)
def test_the_agent_reads_its_settings_from_the_compose_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], base_url: str, model: str
) -> None:
    from agent.settings.load import ENV_PREFIX, load_settings

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    for name, value in services(**variables)["agent"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.llm.base_url, settings.llm.model) == (base_url, model)
    assert (settings.models_dir, settings.log_level) == (Path("/models"), "INFO")


def test_every_sotto_variable_is_a_setting() -> None:
    from agent.settings.load import ENV_DELIMITER, ENV_PREFIX, setting_keys

    known = {ENV_PREFIX + key.replace(".", ENV_DELIMITER).upper() for key in setting_keys()}
    named = set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]+", COMPOSE.read_text() + DOCKERFILE.read_text()))
    assert named - known == set()
    assert {"SOTTO_LLM__BASE_URL", "SOTTO_LLM__MODEL", "SOTTO_MODELS_DIR"} <= named


def sotto_commands() -> Iterator[list[str]]:
    """Every `sotto` command line in the container files, comments included, without the `sotto`."""
    yield json.loads(instruction("CMD")[0])[1:]
    text = COMPOSE.read_text() + DOCKERFILE.read_text()
    yield from (listed.split(", ") for listed in re.findall(r"command: \[sotto, ([^\]]*)\]", text))
    shell = r"(?:agent |uv run |`)sotto ((?:[\w.=-]+ ?)+?)(?:`|  |$)"
    yield from (shlex.split(line) for line in re.findall(shell, text, re.MULTILINE))


def test_every_sotto_command_exists_with_its_options() -> None:
    from agent.cli import app

    commands = list(sotto_commands())
    for known in ("serve --host 0.0.0.0", "serve", "models list", "models pull NAME"):
        assert known.split() in commands
    for command in commands:
        words = [word for word in command if not word.startswith("-") and not word[0].isdigit()]
        done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert done.exit_code == 0, f"sotto {shlex.join(command)}: {done.output}"
        missing = {word for word in command if word.startswith("--")} - set(done.output.split())
        assert missing == set(), f"sotto {shlex.join(command)}"


def test_the_image_runs_as_a_plain_user_and_is_built_from_what_is_here() -> None:
    assert {line.split()[0] for line in instruction("FROM")} == {"python:3.11-slim"}
    assert instruction("USER") == ["sotto"]
    assert any("useradd" in line and line.split("&&")[0].split()[-1] == "sotto" for line in instruction("RUN"))
    syncs = [line for line in instruction("RUN") if "uv sync" in line]
    assert ["--no-default-groups --group bundled --group ears" in line for line in syncs] == [True, True]
    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["dependency-groups"]
    assert {"bundled", "ears"} <= set(groups)
    copied = [name for line in instruction("COPY") if "--from" not in line for name in line.split()[:-1]]
    allowed = re.findall(r"^!(.*)$", (REPOSITORY / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(allowed)
    assert [name for name in copied if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_says_whether_the_agent_is_ready(status: int | None, exit_status: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if status and self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        if status is None:
            server.server_close()
        check = json.loads(instruction("HEALTHCHECK")[0].split("CMD ")[1])
        assert check[:2] == ["python", "-c"]
        code = check[2].replace(":7860/", f":{server.server_port}/")
        # A proxy that is not there: the check must not ask it.
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:9"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
        assert done.returncode == exit_status
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
