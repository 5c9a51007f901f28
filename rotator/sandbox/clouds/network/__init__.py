"""Microsoft.Network: subnets, private endpoints and private DNS zones, as far as a registry behind them needs."""
