"""The processes that train one model together, and what starts them."""
