"""What the end-to-end tests stand on: a real appd in folders of its own, real apps, real clients."""
