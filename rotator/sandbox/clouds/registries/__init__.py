"""Registries: Azure's management API, and the pull protocol of Azure, Amazon and others."""
