"""Key Vault: secrets, their versions, soft delete."""
