"""Where the results of tool calls come from: what was recorded, what a model makes up, what a workspace does."""
