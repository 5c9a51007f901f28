"""rotator: credential rotation and compliance audit for Azure Container Instances."""

__version__ = "0.1.0"
