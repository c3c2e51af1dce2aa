"""One process that serves the page, the REST API and the health checks."""

from __future__ import annotations

import functools
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tagger.collection.hub import Pusher, push_from
from tagger.drawing import DrawServices
from tagger.errors import SettingsError
from tagger.ratelimit import client_address
from tagger.services import Services, build_services
from tagger.settings import Settings, unknown_variables

_log = logging.getLogger(__name__)

_ATTEMPTS = 3
_LOCAL = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    url: str
    blocks: Any

    def close(self) -> None:
        """Stop taking requests, give those in work a few seconds, and free the port."""
        self.blocks.close(verbose=False)


def launch(services: Services, *, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Start to serve in threads of this process, and return once the address answers.

    Parameters
    ----------
    services : Services
        Model and limits.
    host : str
        Address to listen on.
    port : int
        0 for any that is free.

    Raises
    ------
    SettingsError
        If the port cannot be used.
    """
    _prepare_environment()
    # Only now: Gradio reads the environment while it is imported, and that takes seconds which
    # the command line's other commands do not spend.
    from tagger import api, ui

    settings = services.settings
    blocks = ui.build_app(services)
    blocks.queue(max_size=settings.queue_size, api_open=False)
    # Served by `launch`, not mounted in an application of ours: only so does Gradio check that a
    # file given as an input was uploaded by the client.
    start = functools.partial(
        blocks.launch,
        server_name=f"[{host}]" if ":" in host and not host.startswith("[") else host,
        root_path=settings.root_path or None,
        app_kwargs={
            "routes": [*api.routes(services), *ui.routes()],
            "middleware": [Middleware(ForwardedClient, proxies=settings.proxies)],
        },
        max_file_size=int(settings.max_bytes),
        # Every kind of answer to "what went wrong" is ours; Gradio's may hold paths.
        show_error=False,
        # Visitors' pictures and results are not kept, here or in their browser.
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        share=False,
        allowed_paths=[],
        # One session's state is small, but ten thousand (the default) are not.
        state_session_capacity=1000,
        prevent_thread_lock=True,
        quiet=True,
        **ui.launch_options(services),
    )
    # Gradio gives its server five seconds, which a busy machine may not keep. Where any port will
    # do, another one is tried.
    ports = [port] if port else [free_port(host) for _ in range(_ATTEMPTS)]
    for number in ports:
        if not _can_listen(host, number):
            continue
        try:
            _, url, _ = start(server_port=number)
        except OSError:
            _log.warning("the server did not start in time on port %d", number)
            continue
        if services.explore is not None:
            # Only now: the first page comes first.
            services.explore.start()
        if services.compare is not None:
            services.compare.start()
        return Server(str(url), blocks)
    reason = f"port {ports[-1]} is taken or not allowed, or the server did not start in time"
    raise SettingsError("settings-invalid", problems=reason)


def serve(settings: Settings) -> None:
    """Load the model, serve until interrupted or told to stop, then finish what is in work.

    Raises
    ------
    TaggerError
        If the model cannot be loaded or the port not be used.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Gradio asks its own address whether it answers.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for name in unknown_variables():  # never their values, which may be anything
        _log.warning("there is no setting %s; it is ignored", name)
    services = build_services(settings)
    with _stop_signal() as stopped:
        server = launch(services, host=settings.host, port=settings.port)
        model = services.model
        print(f"Model: {model.name} {model.version} ({model.hash})")
        print(f"Page: {server.url}  REST API: {server.url}api/docs  Stop: Ctrl-C", flush=True)
        try:
            with beside(services):
                try:
                    stopped.wait()
                finally:
                    server.close()
        finally:
            services.close()


@contextmanager
def beside(services: Services) -> Iterator[None]:
    """What a server does beside answering: it follows the current version of the recogniser, and
    pushes drawings to the Hub, where that is set up, for the last time when the block ends.
    """
    settings, draw = services.settings, services.draw
    pusher = None
    if isinstance(draw, DrawServices):
        if draw.tuning is not None:
            draw.tuning.watch()
        if settings.hub_dataset and settings.hub_token.get_secret_value():
            store = draw.store
            pusher = Pusher(lambda: push_from(store, settings))
    try:
        yield
    finally:
        if pusher is not None:
            pusher.close()


class ForwardedClient:
    """Lets a request's client be whom the trusted proxies saw; see `tagger.ratelimit`.

    Parameters
    ----------
    app : ASGI application
        What is behind.
    proxies : int
        How many are trusted; with 0 no header is believed.
    """

    def __init__(self, app: ASGIApp, proxies: int) -> None:
        self.app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if self._proxies and scope["type"] in ("http", "websocket"):
            host, port = scope.get("client") or ("", 0)
            forwarded = Headers(scope=scope).getlist("x-forwarded-for")
            address = client_address(host, forwarded, self._proxies)
            scope = {**scope, "client": (address, 0 if address != host else port)}
        await self.app(scope, receive, send)


@contextmanager
def _stop_signal() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM (a container's stop) set, instead of ending the process."""
    event = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        event.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    # Only the main thread may set handlers; elsewhere whoever runs us has its own way to stop.
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_environment() -> None:
    """Keep libraries from calling home, and the start-up check of the own address off a proxy."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # The web server would believe headers of whoever connects from this machine.
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "")
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [host for host in os.environ.get(name, "").split(",") if host]
        os.environ[name] = ",".join(dict.fromkeys([*hosts, *_LOCAL]))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment."""
    with socket.create_server((_bare(host), 0), family=_family(host)) as server:
        return int(server.getsockname()[1])


def _can_listen(host: str, port: int) -> bool:
    try:
        socket.create_server((_bare(host), port), family=_family(host)).close()
    except OSError:
        return False
    return True


def _bare(host: str) -> str:
    return host.strip("[]")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
