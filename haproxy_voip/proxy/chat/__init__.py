"""Chat: one XMPP stream to the client, one to the server that carries its session now, perhaps one to the next."""
