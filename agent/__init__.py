"""Everything on the box that understands. It reaches the printer only through the relay's control socket."""
