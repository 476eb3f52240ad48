"""Leases, the runtime directory, the leash and the guard: what lets nothing outlive its notebook.

An instance lives exactly as long as somebody holds a shared record lock on its `lease` file; the operating
system drops that lock when the holder dies, however it dies. Import from the modules: this one stays empty,
because the leash inside a container imports it and must start quickly.
"""
