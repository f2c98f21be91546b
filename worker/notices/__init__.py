"""Messages to people: what happened, told once, outside of the way of an order."""
