"""Names of the Open Inference Protocol and of Triton's binary tensor data extension."""

#: The version of every model; there are no others.
VERSION = "1"
#: The header with the length of the JSON, in bytes, if binary data follows it.
HEADER_LENGTH = "Inference-Header-Content-Length"
