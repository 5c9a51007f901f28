"""Microsoft Graph: the directory of applications and service principals."""
