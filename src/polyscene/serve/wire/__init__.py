"""The shapes of the wire: what a client may send, with every bound in the type, and what it gets."""
