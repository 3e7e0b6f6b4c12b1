"""Workers on a Ray cluster: one actor for each GPU or slot, each with pipelines of its own."""
