"""The print path: between the POS and the printer stand only bytes."""
