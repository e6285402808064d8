"""The node: the whole proxy as one deterministic machine, made of smaller ones."""
