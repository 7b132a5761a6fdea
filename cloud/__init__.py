"""The thin cloud service: stores receipts, takes orders, tells the truth about both."""
