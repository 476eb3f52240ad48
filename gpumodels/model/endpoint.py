"""`Endpoint`: the address of a served model for other clients, and the token of their calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpumodels.lease import processes


@dataclass(frozen=True, repr=False)
class Endpoint:
    """The address at which a model answers clients such as tritonclient, and the token that each call needs.

    An endpoint is a plugin of tritonclient: `client.register_plugin(model.endpoint)` adds the token to all calls of
    that client.
    """

    model: str
    #: HOST:PORT, the form that tritonclient takes.
    address: str
    token: str
    #: Process id and start time of the forwarder, which copies bytes between clients and the model server.
    forwarder: tuple[int, int] = field(default=(0, 0))

    @property
    def headers(self) -> dict[str, str]:
        """The headers with the token, for one call: `client.infer(..., headers=model.endpoint.headers)`."""
        return {"authorization": f"Bearer {self.token}"}

    @property
    def alive(self) -> bool:
        """True if the forwarder lives. If it died, the model may still live, but not at this address."""
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
