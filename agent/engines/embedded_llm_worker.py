"""The process in which llama.cpp serves the embedded language model.

Closing llama.cpp's server beside its own clients can wait for ever: it holds the interpreter lock while it waits
for requests whose clients need that lock to hang up. Here the process is killed instead, and a model file that
makes llama.cpp abort ends this process only. Run as a script by `agent/engines/embedded_llm.py`; imports nothing of the
house, so that it starts quickly.

In:  one line of JSON on standard input, the fields of `_server_params`; then nothing, until the end of input ends it.
Out: one line of JSON on standard output: `{"url": ...}`, or `{"error": ...}`.
"""

import contextlib
import json
import os
import signal
import sys
from typing import Any

HOST = "127.0.0.1"


def _server_params(
    path: str,
    model: str,
    api_key: str,
    conversations: int,
    tokens: int,
    threads: int,
    gpu_layers: int | None,
    batch_tokens: int,
    port: int,
) -> Any:
    """llama.cpp's settings.

    Args:
        path: The GGUF file.
        model: The name that /v1/models lists.
        api_key: The bearer token that every request must bring.
        conversations: Requests answered at the same time.
        tokens: Context of all of them together.
        threads: CPU threads.
        gpu_layers: Layers on a GPU; None leaves it to llama.cpp.
        batch_tokens: How much of a prompt is read between two looks at what is asked.
        port: Where to listen; 0 takes a free one.
    """
    import xllamacpp

    params = xllamacpp.CommonParams()  # pyright: ignore[reportAttributeAccessIssue] - compiled
    params.model.path = path
    params.model_alias = {model}
    params.n_ctx = tokens
    params.n_parallel = conversations
    params.n_batch = batch_tokens
    params.n_ubatch = batch_tokens
    params.kv_unified = False
    params.fit_params = False
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    if gpu_layers is not None:
        params.n_gpu_layers = gpu_layers
    params.n_threads_http = conversations + 2
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = 0
    # Reachable from this machine only, and not from a web page that is open on it.
    params.hostnames = [HOST]
    params.port = port
    params.api_keys = [api_key]
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_props = False
    params.endpoint_metrics = False
    return params


def _tell(reply: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the end of input; the parent's end is that, too."""
    # Ctrl-C reaches every process of the terminal; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    request = json.loads(sys.stdin.readline())
    import xllamacpp

    try:
        server = xllamacpp.Server(_server_params(**request))  # pyright: ignore[reportAttributeAccessIssue]
    except RuntimeError as error:
        _tell({"error": str(error)})
        return
    with contextlib.suppress(OSError):
        _tell({"url": server.listening_address})
        sys.stdin.read()
    # Without the server's destructor, which may wait for ever.
    os._exit(0)


if __name__ == "__main__":
    main()
