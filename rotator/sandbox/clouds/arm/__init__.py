"""Azure Resource Manager itself: subscriptions, resource groups, identities, roles."""
