"""Talking to a model server: readiness, calls, and what a call returns."""

from gpumodels.client.client import Client
from gpumodels.client.result import Result
from gpumodels.client.ticket import Ticket
from gpumodels.client.watch import Watch

__all__ = ["Client", "Result", "Ticket", "Watch"]
