"""What stands in agent/deploy: Prometheus' configuration and the dashboard, against the metrics that there are.

With Debian's `prometheus` installed, a real one reads them.
"""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from agent.server.calls.sessions import LiveSessions
from tests.conftest import REPOSITORY
from tests.support.llm_session import options
from tests.support.ports import free_port
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import ScriptedLLM
from tests.support.served import serving_page

DEPLOY = REPOSITORY / "agent" / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "sotto.json").read_text())
METRIC = re.compile(r"\b(?:sotto|process)_\w+")
SUFFIXES = ("_bucket", "_sum", "_count", "_total")


def bare(name: str) -> str:
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


async def told() -> dict[str, str]:
    """Every metric of a running server, with its type."""
    async with ScriptedLLM() as llm, serving_page(ScriptedRecognizerEngine(), options(llm)) as served:
        assert isinstance(served.state.sessions(), LiveSessions)
        async with httpx.AsyncClient() as web:
            text = (await web.get(f"{served.url}/metrics")).text
    return {family.name: family.type for family in text_string_to_metric_families(text)}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


async def test_every_metric_of_the_dashboard_exists_and_is_used_as_what_it_is() -> None:
    known = await told()
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert {bare(name) for name in named} - known.keys() == set()
    for name in named:
        kind = known[bare(name)]
        assert name.endswith("_total") == (kind == "counter"), name
        assert name.endswith("_bucket") == (kind == "histogram"), name


async def test_the_readme_and_the_dashboard_name_every_metric() -> None:
    known = {name for name in await told() if name.startswith("sotto_")} - {"sotto_build_info"}
    section = (REPOSITORY / "README.md").read_text().split("## Watching it")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    in_readme = {"sotto_" + bare(name) for row in rows for name in re.findall(r"`([a-z_]{6,})`", row.split("|")[1])}
    assert in_readme == known
    assert known - {bare(name) for one in expressions() for name in METRIC.findall(one)} == set()


def test_the_dashboard_is_one_that_grafana_finds() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana" / "datasources.yml").read_text())["datasources"]
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} == {source["uid"]}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]}
    assert len(places) == len(ids)
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    mounted = [volume.split(":")[0] for name in ("prometheus", "grafana") for volume in compose[name]["volumes"]]
    files = [REPOSITORY / name for name in mounted if name.startswith("./")]
    assert all(path.is_file() for path in files)
    assert {path.resolve() for path in files} == {
        path for path in DEPLOY.rglob("*") if path.suffix in (".yml", ".json")
    }


def test_prometheus_asks_where_the_agent_listens() -> None:
    (job,) = configuration()["scrape_configs"]
    assert (job["metrics_path"], job["static_configs"]) == ("/metrics", [{"targets": ["127.0.0.1:7860"]}])


def configuration() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "prometheus.yml").read_text())


@pytest.mark.prometheus
def test_promtool_takes_the_configuration() -> None:
    command = ["promtool", "check", "config", str(DEPLOY / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.prometheus
async def test_a_real_prometheus_reads_the_metrics(tmp_path: Path) -> None:
    async with ScriptedLLM() as llm, serving_page(ScriptedRecognizerEngine(), options(llm)) as served:
        ours = configuration()
        ours["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
        ours["scrape_configs"][0]["static_configs"] = [{"targets": [served.url.removeprefix("http://")]}]
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(ours))
        address = f"127.0.0.1:{free_port()}"
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={tmp_path}/prometheus.yml",
            f"--web.listen-address={address}",
            f"--storage.tsdb.path={tmp_path}/data",
            stderr=subprocess.DEVNULL,
        )
        try:
            found = await _asked(f"http://{address}/api/v1/query", "sotto_places{kind='session'}")
        finally:
            process.terminate()
            await process.wait()
    assert found[0]["value"][1] == "4"


async def _asked(url: str, query: str) -> list[dict[str, Any]]:
    async with asyncio.timeout(60), httpx.AsyncClient() as web:
        while True:
            try:
                answer = (await web.get(url, params={"query": query})).json()
                if answer.get("data", {}).get("result"):
                    return answer["data"]["result"]
            except (httpx.HTTPError, ValueError):
                pass
            await asyncio.sleep(0.2)
