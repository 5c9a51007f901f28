"""`rotator serve`: the scheduler and the page, until SIGTERM."""

from rotator.cli.options import Config, Level, LogLevel


def serve(*, config: Config = None, log_level: LogLevel = Level.INFO) -> None:
    """Audit and rotate on a schedule; serve /metrics, /healthz, /readyz, /api/status and a page."""
    from rotator.cli.session import opened, settings_of
    from rotator.service.serve import serve as serve_forever

    settings = settings_of(config)
    with opened(settings, log_level, verb="serve") as application:
        serve_forever(application, settings)
