"""How the program itself runs: its connections, clock and policies, when it works, what it remembers and where it listens."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from rotator.configtext import Duration
from rotator.settings.section import Section


class NetworkSettings(Section):
    """Where connections really go."""

    resolve: Annotated[dict[str, str], Field(description="host or glob to address:port, as curl --resolve does")] = {}
    ca_file: Annotated[Path | None, Field(description="certificates to trust instead of the system's")] = None


class ClockSettings(Section):
    """Set only for the sandbox, whose time runs faster."""

    control_url: str | None = None


class Policies(Section):
    """Which rules the audit applies."""

    directories: Annotated[tuple[Path, ...], Field(description="folders of policy files, beside the built-in ones")] = ()
    built_in: bool = True
    waivers: Annotated[Path | None, Field(description="replaces the built-in waivers.yaml")] = None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that policies are read from, the built-in one first."""
        from rotator.audit.policies import default_policy_directory

        return (*((default_policy_directory(),) if self.built_in else ()), *self.directories)

    @property
    def waivers_file(self) -> Path:
        """The file that waivers are read from."""
        from rotator.audit.policies import WAIVERS_FILE, default_policy_directory

        return self.waivers or default_policy_directory() / WAIVERS_FILE


class Schedule(Section):
    """When `rotator serve` works: cron expressions in UTC, with a random delay so that fleets do not move in step."""

    audit: str = "7 * * * *"
    rotate: str = "23 2 * * *"
    # Amazon's passwords live for 12 hours and are due 6 before their end: one nightly run would let them run out every day.
    leases: Annotated[str, Field(description="renews ECR passwords, and nothing else")] = "41 */3 * * *"
    jitter: Duration = timedelta(minutes=5)

    @field_validator("audit", "rotate", "leases")
    @classmethod
    def _is_cron(cls, text: str) -> str:
        from rotator.cron import cron_trigger

        try:
            cron_trigger(text)
        except ValueError as error:
            raise ValueError(f"{text!r} is no cron expression of five fields: {error}") from None
        return text


class State(Section):
    """What is remembered between runs. No rotation needs it: the vault is the truth. The evidence log is what auditors need."""

    directory: Path = Path(".rotator")
    journal_url: Annotated[str | None, Field(description="PostgreSQL, when several replicas share the work")] = None
    history_url: Annotated[
        str | None, Field(description="any SQLAlchemy URL; the journal's PostgreSQL where there is one, else a SQLite file")
    ] = None
    dead_after: Annotated[
        Duration,
        Field(ge=timedelta(seconds=3), description="how old a replica's heartbeat is when the others take its work over"),
    ] = timedelta(seconds=15)
    evidence_required: Annotated[bool, Field(description="begin no rotation while the evidence log cannot be written")] = False

    @property
    def folder(self) -> Path:
        """The directory as an absolute path. It may not exist yet."""
        return self.directory.expanduser().resolve()

    @property
    def journal_file(self) -> Path:
        """The journal, unless `journal_url` names another place."""
        return self.folder / "journal.sqlite"

    @property
    def history_file(self) -> Path:
        """The history, unless `history_url` names another place."""
        return self.folder / "history.sqlite"


class Service(Section):
    """Where `rotator serve` listens. There is no log-in of its own: keep it inside the network."""

    host: str = "0.0.0.0"  # noqa: S104 - a container's port is published on purpose
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
