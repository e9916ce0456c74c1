"""What all mappings of the watchlist have in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A mapping of the watchlist."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
