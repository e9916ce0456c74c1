"""From YAML to the values, with the places of mistakes."""
