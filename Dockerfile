# The agent with its bundled engines: speaks and listens without a further download.
# Better models come by `sotto models pull` into the volume at /models (see docker-compose.yml).

FROM python:3.11-slim AS build
ENV UV_CACHE_DIR=/var/cache/uv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_PROGRESS=1 \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir --root-user-action=ignore "uv>=0.9,<1"
WORKDIR /app
# The dependencies are a layer of their own: a change in the code does not install them again.
# `bundled` and `ears` hold the models; `dev` (tests, linters, a browser driver) stays out.
COPY pyproject.toml ./
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --no-default-groups --group bundled --group ears --no-install-project
COPY README.md LICENSE ./
COPY agent agent
COPY processors processors
COPY transports transports
COPY web web
# Not editable: the environment alone is the program, and the sources stay behind in this stage.
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --no-default-groups --group bundled --group ears --no-editable


FROM python:3.11-slim
# libgomp1: the embedded llama.cpp links it, and its wheel does not bring it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
# A home of its own, for libraries that want to write a cache. /models belongs to the user before a
# volume is mounted there, because a fresh volume takes its owner from the image.
RUN useradd --create-home --uid 10001 sotto \
    && install --directory --owner=sotto --group=sotto /models
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SOTTO_MODELS_DIR=/models
USER sotto
WORKDIR /models
VOLUME /models
EXPOSE 7860
# Without proxies: a proxy from the Docker configuration must not be asked about this container.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:7860/health', timeout=4)"]
# All interfaces of the container, else a published port would lead nowhere; who may reach it from
# outside is decided where the port is published: `docker run --publish 127.0.0.1:7860:7860`.
# For Home Assistant: --publish 127.0.0.1:10300:10300 --env SOTTO_SERVER__WYOMING_PORT=10300
# --env SOTTO_SERVER__WYOMING_CLIENTS=any, for in here every caller has Docker's address.
CMD ["sotto", "serve", "--host", "0.0.0.0"]
