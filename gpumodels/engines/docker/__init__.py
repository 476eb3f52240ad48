"""The docker engine."""
