"""What closing an incident out takes from the stores: who did what, what happened before, what people wrote."""
