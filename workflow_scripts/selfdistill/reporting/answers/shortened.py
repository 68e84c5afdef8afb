"""A long text cut in its middle for a reader."""

from selfdistill.foundation.wording import count

LONGEST_EXAMPLE = 6000  # characters of a completion shown from its start and its end together


def shortened(text: str, longest: int = LONGEST_EXAMPLE) -> str:
    """Start and end of a long text; how a completion ends matters most."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n\n[… {count(len(text) - 2 * half)} characters left out …]\n\n{text[-half:]}"
