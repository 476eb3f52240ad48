"""`Endpoint`: where others' clients reach a model, and the token that they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpumodels.lease import processes


@dataclass(frozen=True, repr=False)
class Endpoint:
    """The address at which a model answers tritonclient and its like, and what a call there must show.

    It is a plugin of tritonclient: `client.register_plugin(model.endpoint)` adds the token to all its calls.
    """

    model: str
    #: HOST:PORT, as tritonclient wants it.
    address: str
    token: str
    #: The process that forwards to the model server: its id, and when it started.
    forwarder: tuple[int, int] = field(default=(0, 0))

    @property
    def headers(self) -> dict[str, str]:
        """The metadata of every call: `client.infer(..., headers=model.endpoint.headers)`."""
        return {"authorization": f"Bearer {self.token}"}

    @property
    def alive(self) -> bool:
        """Whether somebody answers there; the model itself may live on where nobody does."""
        return processes.same_process(*self.forwarder)

    def __call__(self, request: Any) -> None:
        """Add the token to a request of tritonclient."""
        request.headers.update(self.headers)

    def __repr__(self) -> str:
        if not self.alive:
            return f"<Endpoint {self.address} of {self.model}: nobody answers there any more; load the model again>"
        return (
            f"<Endpoint {self.address} of {self.model}>\n"
            f'client = tritonclient.grpc.InferenceServerClient("{self.address}")\n'
            f"client.register_plugin(model.endpoint)  # shows the token, or else: headers=model.endpoint.headers\n"
            f'client.is_model_ready("{self.model}")'
        )
