"""What customers see: menu, basket, order, and what became of it."""
