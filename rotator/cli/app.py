"""The entry point. Every verb's module is light; what is heavy loads inside of the verb that needs it."""

import os
import sys
from typing import NoReturn

import typer

from rotator.cli import (
    abandon,
    adopt,
    audit,
    completion,
    config,
    demo,
    deploy,
    disableadmin,
    evidence,
    explain,
    export,
    history,
    importing,
    migrate,
    plan,
    resume,
    revoke,
    rollback,
    rotate,
    run,
    sandbox,
    serve,
    status,
    version,
)
from rotator.cli.failure import tell, tell_bug
from rotator.model.errors import Fenced, ReplicaLost, RotatorError

EPILOGUE = (
    "Exit status: 0 in order; 1 findings at or above --fail-on; 2 wrong usage or configuration; "
    "3 not everything could be seen; 4 a rotation failed, or is held for a decision."
)

app = typer.Typer(
    name="rotator",
    help="Rotates the credentials that Azure container groups pull images with, and audits them.",
    epilog=EPILOGUE,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, which is where values are
    context_settings={"help_option_names": ["--help", "-h"]},
)

app.command("demo")(demo.demo)
app.command("audit")(audit.audit)
app.command("explain")(explain.explain)
app.command("plan")(plan.plan)
app.command("rotate")(rotate.rotate)
app.command("run")(run.run)
app.command("serve")(serve.serve)
app.command("deploy")(deploy.deploy)
app.command("adopt")(adopt.adopt)
app.command("export")(export.export)
app.command("status")(status.status)
app.command("resume")(resume.resume)
app.command("roll-back")(rollback.roll_back)
app.command("abandon")(abandon.abandon)
app.command("revoke")(revoke.revoke)
app.command("migrate")(migrate.migrate)
app.command("disable-admin-user")(disableadmin.disable_admin_user)
app.command("import")(importing.import_)
app.command("history")(history.history)
app.add_typer(evidence.app, name="evidence")
app.add_typer(config.app, name="config")
app.add_typer(sandbox.app, name="sandbox")
app.command("completion")(completion.completion)
app.command("version")(version.version)


def main() -> NoReturn:
    """Run the command line and exit."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # re-exported without saying so

    # Typer does this only for programs with an option --install-completion; without it no shell is known.
    completion_init()
    try:
        app(prog_name="rotator")
    except (ReplicaLost, Fenced) as error:
        status = tell(error if isinstance(error, ReplicaLost) else ReplicaLost())
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads may still wait for work that is another replica's now; the interpreter would wait for them.
        os._exit(status)
    except RotatorError as error:
        sys.exit(tell(error))
    except Exception as error:  # noqa: BLE001 - the last gate: nothing may print a traceback unredacted
        sys.exit(tell_bug(error))
    sys.exit(0)
