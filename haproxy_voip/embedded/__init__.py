"""Small servers and clients, for telephony and for chat: those of the demonstration and of the simulation.

All are sans-I/O machines; pbx_server.py, chat_process.py and demo.py put them on real sockets.
"""
