"""The version of the container instance API that is spoken; apart from the client, so that settings load no SDK."""

API_VERSION = "2026-07-01"
"""The newest stable version; the SDK's own default is a preview. A GET leaves out what is newer than its version, and a PUT of
its answer deletes that: older than 2025-09-01 would delete references to vault secrets, older than 2026-07-01 the identity of a
file share. Raise it when Azure publishes a newer one; go below only where a sovereign cloud does not know it."""
