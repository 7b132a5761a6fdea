"""What crosses the network between a box and the cloud. Pure: no I/O."""
