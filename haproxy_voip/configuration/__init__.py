"""What the operator wants: the model, and how YAML becomes it."""
