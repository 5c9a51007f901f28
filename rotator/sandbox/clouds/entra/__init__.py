"""Entra ID: access tokens for apps and for managed identities."""

from rotator.sandbox.clouds.entra.records import Entra
from rotator.sandbox.clouds.entra.routes import ROUTES

__all__ = ["ROUTES", "Entra"]
