"""The words on a slip in the shop's language. COPY, REPRINT and STOP PREPARING stay English on every slip, since the
promise hangs on them; the local word stands beside. A language that is not here has English."""

from __future__ import annotations

NAMES = ("dine_in", "takeaway", "delivery", "table", "due", "note", "customer", "phone", "address", "distance",
         "ordered", "total", "allergens", "stop")  # fmt: skip
WORDS = {
    "en": "DINE IN|TAKEAWAY|DELIVERY|TABLE|Due|Note|Customer|Phone|Address|Distance|Ordered|TOTAL|Allergens|",
    "zh": "堂食|外带|外送|桌号|取餐|备注|顾客|电话|地址|距离|下单|合计|过敏原|停止制作",
    "zh-hant": "堂食|外帶|外送|桌號|取餐|備註|顧客|電話|地址|距離|下單|合計|過敏原|停止製作",
    "es": "EN MESA|PARA LLEVAR|A DOMICILIO|MESA|Para"
    "|Nota|Cliente|Tel.|Dirección|Distancia|Pedido|TOTAL|Alérgenos|NO PREPARAR",
    "de": "IM HAUS|ABHOLUNG|LIEFERUNG|TISCH|Fertig"
    "|Hinweis|Kunde|Telefon|Adresse|Entfernung|Bestellt|SUMME|Allergene|NICHT ZUBEREITEN",
    "fr": "SUR PLACE|À EMPORTER|LIVRAISON|TABLE|Pour"
    "|Note|Client|Tél.|Adresse|Distance|Commandé|TOTAL|Allergènes|NE PAS PRÉPARER",
    "ja": "店内|お持ち帰り|配達|テーブル|受取|備考|お客様|電話|住所|距離|注文|合計|アレルゲン|調理中止",
}  # fmt: skip


def words(language: str) -> dict[str, str]:
    """Name -> word.

    >>> words("de")["table"], words("tlh")["table"]
    ('TISCH', 'TABLE')
    """
    known = WORDS.get(language) or WORDS.get(language.partition("-")[0]) or WORDS["en"]
    return dict(zip(NAMES, known.split("|"), strict=True))
