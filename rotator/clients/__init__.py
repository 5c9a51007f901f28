"""One thin wire client a remote API, and the one map from wire failures to the errors of `rotator.model.errors`."""
