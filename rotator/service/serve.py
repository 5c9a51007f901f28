"""The service as one process: scheduler and page, until it is told to stop."""

import errno
import signal
import socket
from datetime import timedelta

import structlog
import uvicorn

from rotator.application import Application
from rotator.model.errors import ConfigError, ReplicaLost
from rotator.replicas.membership import Membership
from rotator.service.scheduler import Scheduler
from rotator.service.web import LastRun, build
from rotator.settings import Settings
from rotator.settings.running import Service

log = structlog.get_logger(__name__)

_GRACE_SECONDS = 10


def serve(application: Application, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; ConfigError, before anything is begun, where the port cannot be had.

    A run that is under way is ended properly first: its journal would carry on anyway, but a group that is being redeployed
    is better waited for. A replica waits for its own redeploys only, and not for long: the others carry on with the run.
    ReplicaLost when they took this process for dead.
    """
    listening = _listen(settings.service)
    try:
        with application.joined(timedelta(seconds=_GRACE_SECONDS)) as life:
            _serve(application, settings, listening, life)
            if life is not None and life.fence.shut:
                raise ReplicaLost
    finally:
        listening.close()


def _serve(application: Application, settings: Settings, listening: socket.socket, life: Membership | None) -> None:
    last = LastRun()
    scheduler = Scheduler(application, settings.schedule, seen=last.put, turns=application.turns)
    # Who does not lead has no run to show, and is ready to carry out what the leader begins.
    web = build(
        application.metrics,
        last,
        lambda: scheduler.next_runs,
        ready=lambda: last.get() is not None or (life is not None and not scheduler.leads),
    )
    service = settings.service
    server = uvicorn.Server(
        uvicorn.Config(
            web,
            log_config=None,  # our own logging stays as it is
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )

    def stop() -> None:
        server.should_exit = True

    if life is not None:
        life.on_loss(stop)
    # uvicorn stops on these, puts the handlers back that it found, and raises the signal again: by default that would end
    # the process before the scheduler has stopped. One that comes before uvicorn listens must not be lost either.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop())
    scheduler.start()
    log.info("serving", host=service.host, port=service.port, next_runs=scheduler.next_runs)
    try:
        server.run(sockets=[listening])  # returns after SIGTERM or SIGINT
    finally:
        log.info("stopping")
        application.leave()
        # A run of a replica that was taken for dead may wait for a database that is away, and is nobody's to wait for.
        scheduler.stop(wait=life is None or not life.fence.shut)


def _listen(service: Service) -> socket.socket:
    """Take the port before the first run: a service that nobody can ask should not rotate."""
    family = socket.AF_INET6 if ":" in service.host else socket.AF_INET
    try:
        return socket.create_server((service.host, service.port), family=family)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had: {error.strerror}"
        raise ConfigError(
            f"service.port: port {service.port} of {service.host} {why}",
            advice="Set service.host and service.port to an address of this machine that is free.",
        ) from None
