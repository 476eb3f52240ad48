"""Other servers and transports, with which the calls of gpumodels are compared."""
