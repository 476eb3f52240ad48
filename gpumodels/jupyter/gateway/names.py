"""Names of the Open Inference Protocol and of Triton's binary tensor data extension."""

#: The version that each model has.
VERSION = "1"
#: The header that says how long the JSON is, which binary data follows.
HEADER_LENGTH = "Inference-Header-Content-Length"
