"""The wire: the Open Inference Protocol's messages, the tensor codec, and what both sides agree on.

Runs in the notebook and in the instance, so it needs nothing but numpy, grpcio and protobuf.
"""
