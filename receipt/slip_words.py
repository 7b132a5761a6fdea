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
    "it": "AL TAVOLO|ASPORTO|CONSEGNA|TAVOLO|Per"
    "|Nota|Cliente|Telefono|Indirizzo|Distanza|Ordinato|TOTALE|Allergeni|NON PREPARARE",
    "pt": "NA MESA|PARA LEVAR|ENTREGA|MESA|Para"
    "|Nota|Cliente|Telefone|Endereço|Distância|Pedido|TOTAL|Alergénios|NÃO PREPARAR",
    "ru": "В ЗАЛЕ|С СОБОЙ|ДОСТАВКА|СТОЛ|К"
    "|Заметка|Гость|Телефон|Адрес|Расстояние|Заказан|ИТОГО|Аллергены|НЕ ГОТОВИТЬ",
    "tr": "MASAYA|PAKET|TESLİMAT|MASA|Saat"
    "|Not|Müşteri|Telefon|Adres|Uzaklık|Sipariş|TOPLAM|Alerjenler|HAZIRLAMAYIN",
    "vi": "TẠI BÀN|MANG VỀ|GIAO HÀNG|BÀN|Giờ lấy"
    "|Ghi chú|Khách|Điện thoại|Địa chỉ|Khoảng cách|Đặt lúc|TỔNG|Dị ứng|NGỪNG LÀM",
    "ar": "داخل المطعم|سفري|توصيل|طاولة|الموعد"
    "|ملاحظة|الزبون|الهاتف|العنوان|المسافة|وقت الطلب|المجموع|مسببات الحساسية|أوقفوا التحضير",
    "th": "ทานที่ร้าน|กลับบ้าน|เดลิเวอรี|โต๊ะ|รับเวลา"
    "|หมายเหตุ|ลูกค้า|โทร|ที่อยู่|ระยะทาง|สั่งเมื่อ|รวม|สารก่อภูมิแพ้|หยุดทำ",
    "ko": "매장|포장|배달|테이블|수령"
    "|메모|고객|전화|주소|거리|주문|합계|알레르기|조리 중지",
    "ja": "店内|お持ち帰り|配達|テーブル|受取|備考|お客様|電話|住所|距離|注文|合計|アレルゲン|調理中止",
}  # fmt: skip


def words(language: str) -> dict[str, str]:
    """Name -> word.

    >>> words("de")["table"], words("tlh")["table"]
    ('TISCH', 'TABLE')
    """
    known = WORDS.get(language) or WORDS.get(language.partition("-")[0]) or WORDS["en"]
    return dict(zip(NAMES, known.split("|"), strict=True))
