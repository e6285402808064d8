"""A small PBX and a small phone: the servers and clients of the demonstration and of the simulation.

Both are sans-I/O machines over one stack; pbx_server.py and demo.py put them on real sockets.
"""
