"""currency: by the code or symbol printed beside amounts, else by the country the words speak of."""

from __future__ import annotations

from receipt.model import Finding
from receipt.page import Page
from receipt.words import currencies

_BY_LANGUAGE = {
    "ja": "JPY",
    "ko": "KRW",
    "ru": "RUB",
    "tr": "TRY",
    "el": "EUR",
    "de": "EUR",
    "it": "EUR",
    "nl": "EUR",
    "zh": "CNY",
    "fr": "EUR",
}


def read(page: Page) -> Finding | None:
    if page.currency_hint:
        return Finding(page.currency_hint, 0, 0.99, "profile")
    symbols, shared, countries = currencies()
    clear: dict[str, int] = {}
    loose: dict[str, int] = {}
    for symbol, count in page.symbols.items():
        if symbol in symbols:
            clear[symbols[symbol]] = clear.get(symbols[symbol], 0) + count
        elif symbol in shared:
            loose[symbol] = loose.get(symbol, 0) + count
    line = 0
    for row in page.rows:
        words = row.folded
        if not clear or len(clear) > 1:
            for mark, code in (
                ("(rm)", "MYR"),
                ("rm", "MYR"),
                ("eur", "EUR"),
                ("€", "EUR"),
                ("(rp)", "IDR"),
                ("usd", "USD"),
            ):
                if mark in words and _alone(words, mark):
                    clear[code] = clear.get(code, 0) + 1
    if clear:
        best = max(clear.items(), key=lambda pair: pair[1])
        if page.symbols:
            line = next((row.index for row in page.rows if any(num.symbol for num in row.nums)), 0)
        rivals = sum(count for code, count in clear.items() if code != best[0])
        return Finding(best[0], line, 0.97 if best[1] > rivals * 2 else 0.7, "symbol")
    country = page.country
    local = countries.get(country or "")
    if loose:
        symbol = max(loose.items(), key=lambda pair: pair[1])[0]
        line = next((row.index for row in page.rows if any(num.symbol == symbol for num in row.nums)), 0)
        if local in shared[symbol]:
            return Finding(str(local), line, 0.93, "symbol of the country")
        likely = [code for code in shared[symbol] if any(countries.get(c) == code for c in page.countries)]
        if symbol in ("¥", "￥"):
            code = "JPY" if page.language == "ja" else "CNY" if page.language == "zh" else "JPY"
            return Finding(code, line, 0.85, "symbol and language")
        if likely:
            best_code = max(
                likely, key=lambda code: max(v for c, v in page.countries.items() if countries.get(c) == code)
            )
            return Finding(best_code, line, 0.8, "symbol and places")
        return Finding(shared[symbol][0], line, 0.75, "symbol")
    if local and not (page.decimals is False and local in ("USD", "MYR", "EUR") and page.language in ("en", "ms")):
        votes = page.countries[country or ""]
        rivals2 = sum(v for c, v in page.countries.items() if countries.get(c) != local)
        return Finding(local, 0, 0.92 if votes > 2 and votes > 2 * rivals2 else 0.6, "country")
    if (
        not page.decimals
        and page.language in ("en", "ms")
        and any(len(num.raw) > 4 for row in page.rows for num in row.amounts)
    ):
        return Finding("IDR", 0, 0.55, "English words, amounts in thousands")
    by_language = _BY_LANGUAGE.get(page.language)
    if by_language:
        return Finding(by_language, 0, 0.75, "language")
    return None


def _alone(text: str, mark: str) -> bool:
    at = text.find(mark)
    before, after = text[at - 1 : at] if at else "", text[at + len(mark) : at + len(mark) + 1]
    return not before.isalpha() and not after.isalpha()
