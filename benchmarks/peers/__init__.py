"""What the calls of gpumodels are measured beside."""
