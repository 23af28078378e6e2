"""What a step costs, how soon a picture is fitted, and how both grow: measured side by side, in one process."""
