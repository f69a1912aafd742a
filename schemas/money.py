"""Writes amounts of money for people."""


def money(microusd: int) -> str:
    """Millionths of a US dollar as dollars."""
    dollars, millionths = divmod(abs(microusd), 1_000_000)
    sign = "-" if microusd < 0 else ""
    return f"{sign}${dollars}.{f'{millionths:06}'.rstrip('0').ljust(2, '0')}"
