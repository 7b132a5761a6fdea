"""Receipts as the tills of many countries print them, written for this test after what such paper must show."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from receipt.extract import extract
from receipt.model import Kind, Receipt


@dataclass
class Line:
    text: str


@dataclass
class Paper:
    text: str
    merchant: str
    date: str
    time: str
    currency: str
    total: int
    items: list[tuple[str, str, int]]  # what the name holds, quantity, amount
    method: str
    tax: int | None = None
    number: str | None = None


def read(text: str) -> Receipt:
    found = extract([Line(line) for line in text.strip("\n").split("\n")])
    assert len(found) == 1
    return found[0]


PAPERS = {
    "Brazil": Paper(
        """
        SUPERMERCADO BOA VISTA LTDA
  CNPJ: 12.345.678/0001-90  IE: 123456789
     RUA DAS FLORES, 100 - SAO PAULO - SP
DANFE NFC-e - Documento Auxiliar da Nota
  Fiscal de Consumidor Eletronica
------------------------------------------
CODIGO DESCRICAO QTDE UN VL UNIT VL TOTAL
789100031 ARROZ TIPO 1 5KG
          1 UN x 24,90               24,90
789600012 FEIJAO CARIOCA 1KG
          2 UN x 7,49                14,98
000000045 TOMATE KG
          0,750 KG x 8,00             6,00
------------------------------------------
QTD. TOTAL DE ITENS                      3
VALOR TOTAL R$                       45,88
DESCONTO R$                           0,88
VALOR A PAGAR R$                     45,00
FORMA DE PAGAMENTO             VALOR PAGO
Cartao de Debito                     45,00
Tributos Totais Incidentes (Lei Federal
12.741/2012) R$ 9,12
NFC-e n 000123456 Serie 001
05/03/2024 14:22:10
Consulte pela Chave de Acesso em
www.nfce.fazenda.sp.gov.br
3524 0312 3456 7800 0190 6500 1000 1234 5610
CONSUMIDOR NAO IDENTIFICADO
""",
        "SUPERMERCADO BOA VISTA LTDA", "2024-03-05", "14:22:10", "BRL", 4500,
        [("ARROZ TIPO 1", "1", 2490), ("FEIJAO CARIOCA", "2", 1498), ("TOMATE", "0.75", 600)], "card",
    ),
    "Portugal": Paper(
        """
          PASTELARIA CENTRAL, LDA
        Rua Augusta 25  1100-048 Lisboa
             NIF: 501234567
Fatura Simplificada FS 2024A/1523
Original
Data: 2024-03-05  Hora: 10:31
Operador: Maria          Mesa: 4
Qtd Descricao        P.Unit    Valor
  2 Cafe               0,80     1,60 B
  1 Pastel de Nata     1,30     1,30 B
  1 Sumo Laranja       2,50     2,50 A
TOTAL EUR                       5,40
Numerario                      10,00
Troco                           4,60
Taxa    Base      IVA     Total
13,00%  2,57     0,33      2,90
23,00%  2,03     0,47      2,50
aB3d-Processado por programa certificado
n. 1234/AT
Obrigado pela visita
""",
        "PASTELARIA CENTRAL", "2024-03-05", "10:31", "EUR", 540,
        [("Cafe", "2", 160), ("Pastel de Nata", "1", 130), ("Sumo Laranja", "1", 250)], "cash", tax=80,
        number="2024A/1523",
    ),
    "Spain": Paper(
        """
         BAR CASA PACO S.L.
          CIF: B12345678
     C/ Mayor 12, 28013 Madrid
        Tel: 915 555 123
FACTURA SIMPLIFICADA  T-004512
Fecha: 05/03/2024   Hora: 14:45
Mesa: 7   Camarero: Luis
UDS DESCRIPCION        PVP   IMPORTE
 2  CANA               1,80     3,60
 1  TORTILLA           4,50     4,50
 1  MENU DEL DIA      12,90    12,90
TOTAL A PAGAR                  21,00
BASE IMP.   %IVA     CUOTA
 19,09     10,00      1,91
ENTREGADO EFECTIVO             50,00
CAMBIO                         29,00
IVA INCLUIDO. GRACIAS POR SU VISITA
""",
        "BAR CASA PACO", "2024-03-05", "14:45", "EUR", 2100,
        [("CANA", "2", 360), ("TORTILLA", "1", 450), ("MENU DEL DIA", "1", 1290)], "cash", tax=191,
        number="T-004512",
    ),
    "Mexico": Paper(
        """
      ABARROTES LA ESQUINA SA DE CV
          RFC: AES010101AB1
      AV. JUAREZ 45 CENTRO CDMX
TICKET: 0008812        CAJA: 02
05/03/2024 18:02  CAJERO: ANA
CANT ARTICULO          P.U.   IMPORTE
2    COCA COLA 600    18.00    $36.00
1    PAN BIMBO        45.50    $45.50
SUBTOTAL                       $70.26
IVA 16%                        $11.24
TOTAL                          $81.50
EFECTIVO                      $100.00
CAMBIO                         $18.50
ARTICULOS VENDIDOS: 3
GRACIAS POR SU COMPRA
""",
        "ABARROTES LA ESQUINA", "2024-03-05", "18:02", "MXN", 8150,
        [("COCA COLA", "2", 3600), ("PAN BIMBO", "1", 4550)], "cash", tax=1124, number="0008812",
    ),
    "Turkey": Paper(
        """
          YILDIZ MARKET
   GIDA SAN. VE TİC. LTD. ŞTİ.
  ATATÜRK CAD. NO:15 KADIKÖY/İSTANBUL
   KADIKÖY V.D. 9876543210
TARİH : 05/03/2024      SAAT : 19:12
FİŞ NO : 0045
EKMEK               %1      *10,00
SÜT 1LT             %1      *32,50
2 AD X 15,00
ÇİKOLATA            %20     *30,00
----------------------------------
TOPKDV                       *5,42
TOPLAM                      *72,50
KREDİ KARTI                 *72,50
KASİYER: AYŞE
EKÜ NO: 0001   Z NO: 0123
MF AB 12345678
""",
        "YILDIZ MARKET", "2024-03-05", "19:12", "TRY", 7250,
        [("EKMEK", "1", 1000), ("SÜT", "1", 3250), ("ÇİKOLATA", "2", 3000)], "card", tax=542, number="0045",
    ),
    "Greece": Paper(
        """
        ΚΑΦΕ ΑΚΡΟΠΟΛΗ Ο.Ε.
      ΕΡΜΟΥ 25, ΑΘΗΝΑ 10563
    ΑΦΜ: 123456789  ΔΟΥ: Α ΑΘΗΝΩΝ
      ΤΗΛ: 210 3222111
ΑΠΟΔΕΙΞΗ ΛΙΑΝΙΚΗΣ ΠΩΛΗΣΗΣ
ΑΡ. ΑΠΟΔΕΙΞΗΣ: 000345
ΗΜ/ΝΙΑ: 05/03/2024   ΩΡΑ: 11:20
2 x 3,50
ΚΑΠΟΥΤΣΙΝΟ              7,00  24%
ΤΥΡΟΠΙΤΑ                2,80  13%
ΣΥΝΟΛΟ                  9,80
ΜΕΤΡΗΤΑ                20,00
ΡΕΣΤΑ                  10,20
ΦΠΑ 24%   5,65   1,35
ΦΠΑ 13%   2,48   0,32
ΕΥΧΑΡΙΣΤΟΥΜΕ
""",
        "ΚΑΦΕ ΑΚΡΟΠΟΛΗ", "2024-03-05", "11:20", "EUR", 980,
        [("ΚΑΠΟΥΤΣΙΝΟ", "2", 700), ("ΤΥΡΟΠΙΤΑ", "1", 280)], "cash", tax=167, number="000345",
    ),
    "Russia": Paper(
        """
           ООО "РОМАШКА"
   Магазин продуктов
 г. Москва, ул. Ленина, д. 5
 ИНН 7701234567
        КАССОВЫЙ ЧЕК
           ПРИХОД
Хлеб Бородинский
        1.000 x 45.90         =45.90
Молоко 3.2% 1л
        2.000 x 89.50        =179.00
Яблоки
        0.845 x 120.00       =101.40
ИТОГ                         =326.30
СУММА НДС 10%                 =29.66
НАЛИЧНЫМИ                    =500.00
СДАЧА                        =173.70
КАССИР: Иванова А.А.
СМЕНА: 123   ЧЕК: 45
05.03.24 17:45
ФН 9289000100123456
ФД 12345   ФП 1234567890
""",
        "РОМАШКА", "2024-03-05", "17:45", "RUB", 32630,
        [("Хлеб", "1", 4590), ("Молоко", "2", 17900), ("Яблоки", "0.845", 10140)], "cash", tax=2966, number="45",
    ),
    "Korea": Paper(
        """
           행복마트 강남점
    서울시 강남구 테헤란로 123
 사업자번호: 123-45-67890  대표: 김철수
 TEL: 02-555-1234
2024-03-05 13:20:11  POS:01
영수증번호: 0012-3456
------------------------------------
상품명        단가   수량      금액
------------------------------------
바나나우유   1,700     2     3,400
신라면       4,500     1     4,500
------------------------------------
과세물품가액              7,182
부가세                      718
합계                      7,900
신용카드                  7,900
카드번호: 1234-****-****-5678
승인번호: 12345678
감사합니다
""",
        "행복마트 강남점", "2024-03-05", "13:20:11", "KRW", 7900,
        [("바나나우유", "2", 3400), ("신라면", "1", 4500)], "card", tax=718, number="0012-3456",
    ),
    "Japan": Paper(
        """
        喫茶 さくら
   東京都渋谷区神南1-2-3
   TEL 03-1234-5678
   登録番号 T1234567890123
2024年03月05日(火) 12:34
レジ01 担当:山田   No.004521
ブレンドコーヒー        ¥450
サンドイッチ
   2個 × 単580        ¥1,160
小計                  ¥1,610
 (10%対象           ¥1,610)
 (内消費税等          ¥146)
合計                  ¥1,610
お預り                ¥2,000
お釣り                  ¥390
ありがとうございました
""",
        "喫茶 さくら", "2024-03-05", "12:34", "JPY", 1610,
        [("ブレンドコーヒー", "1", 450), ("サンドイッチ", "2", 1160)], "cash", tax=146, number="004521",
    ),
    "Hong Kong": Paper(
        """
        金記茶餐廳
      KAM KEE CAFE
   九龍旺角彌敦道688號
   電話: 2388 1234
枱號: 12     人數: 2
單號: A10234
日期: 2024/03/05   時間: 13:05
-------------------------------
1  凍檸茶              $22.0
2  叉燒飯             $112.0
-------------------------------
小計                  $134.0
加一服務費             $13.4
合計                  $147.4
八達通                $147.4
多謝惠顧
""",
        "金記茶餐廳", "2024-03-05", "13:05", "HKD", 14740,
        [("凍檸茶", "1", 2200), ("叉燒飯", "2", 11200)], "transit_card", number="A10234",
    ),
    "Taiwan": Paper(
        """
       全好超商股份有限公司
        電子發票證明聯
         113年03-04月
         AB-12345678
2024-03-05 20:15:33
隨機碼:1234   總計:95
賣方12345678
交易明細
御飯糰鮪魚      35x1      35 TX
礦泉水          30x2      60 TX
合計2項  金額 95
現金                     100
找零                       5
退貨請攜電子發票證明聯
""",
        "全好超商", "2024-03-05", "20:15:33", "TWD", 9500,
        [("御飯糰鮪魚", "1", 3500), ("礦泉水", "2", 6000)], "cash",
    ),
    "China": Paper(
        """
        老王饺子馆(中山路店)
           结账单
桌号:A08       人数:3
单号:202403050023
开台时间:2024-03-05 18:20
结账时间:2024-03-05 19:35
------------------------------
菜名        单价  数量   金额
猪肉饺子   28.00    2   56.00
凉拌黄瓜   12.00    1   12.00
青岛啤酒    8.00    4   32.00
------------------------------
消费合计:              100.00
优惠金额:                5.00
应收金额:               95.00
微信支付:               95.00
地址:青岛市中山路10号
电话:0532-88886666
欢迎下次光临
""",
        "老王饺子馆", "2024-03-05", "19:35", "CNY", 9500,
        [("猪肉饺子", "2", 5600), ("凉拌黄瓜", "1", 1200), ("青岛啤酒", "4", 3200)], "wechat_pay",
        number="202403050023",
    ),
    "Malaysia": Paper(
        """
      KEDAI MAKAN SERI MELAYU
   NO 12 JALAN BUNGA, 43000 KAJANG
        TEL: 03-8733 1234
RESIT
NO RESIT: R0012345
TARIKH: 05/03/2024  MASA: 12:45
JURUWANG: SITI
NASI LEMAK AYAM
   2 x 8.50                17.00
TEH TARIK                   2.50
JUMLAH KECIL               19.50
CUKAI PERKHIDMATAN 6%       1.17
PELARASAN                  -0.02
JUMLAH                 RM  20.65
TUNAI                  RM  50.00
BAKI                   RM  29.35
TERIMA KASIH
""",
        "KEDAI MAKAN SERI MELAYU", "2024-03-05", "12:45", "MYR", 2065,
        [("NASI LEMAK AYAM", "2", 1700), ("TEH TARIK", "1", 250)], "cash", tax=117, number="R0012345",
    ),
    "Indonesia": Paper(
        """
       TOKO SUMBER REJEKI
    Jl. Malioboro No. 10 Yogyakarta
       Telp 0274-512345
No. Struk: 24030500123
Tgl: 05-03-2024  Jam: 16:40
Kasir: Dewi
INDOMIE GORENG   5   3.100    15.500
AQUA 600ML       2   4.000     8.000
GULA PASIR 1KG   1  16.500    16.500
------------------------------------
Total Item                         8
Total Belanja                 40.000
PPN 11%                        3.964
Tunai                         50.000
Kembali                       10.000
TERIMA KASIH
""",
        "TOKO SUMBER REJEKI", "2024-03-05", "16:40", "IDR", 4000000,
        [("INDOMIE GORENG", "5", 1550000), ("AQUA", "2", 800000), ("GULA PASIR", "1", 1650000)], "cash", tax=396400,
        number="24030500123",
    ),
    "Netherlands": Paper(
        """
         BAKKERIJ DE MOLEN
      Dorpsstraat 8, 1234 AB Utrecht
         KvK 12345678
Bonnr: 004567      Kassa: 1
Datum: 05-03-2024  Tijd: 09:15
2 Croissant         1,95       3,90
1 Volkoren brood               3,25
4 Krentenbol        0,75       3,00
Totaal                        10,15
PIN                           10,15
BTW 9%  over 9,31 =            0,84
Bedankt en tot ziens
""",
        "BAKKERIJ DE MOLEN", "2024-03-05", "09:15", "EUR", 1015,
        [("Croissant", "2", 390), ("Volkoren brood", "1", 325), ("Krentenbol", "4", 300)], "card", tax=84,
        number="004567",
    ),
    "Italy": Paper(
        """
        TRATTORIA DA GIULIO S.R.L.
        Via Roma 33 - 00184 Roma
          P.IVA 01234567890
          DOCUMENTO COMMERCIALE
     di vendita o prestazione
DESCRIZIONE           IVA     Prezzo(E)
COPERTO               10%        4,00
 2 X 11,00
SPAGHETTI CARBONARA   10%       22,00
ACQUA NATURALE        10%        2,50
TOTALE COMPLESSIVO              28,50
di cui IVA                       2,59
Pagamento elettronico           28,50
Importo pagato                  28,50
05-03-2024 21:10
DOCUMENTO N. 0123-0045
RT 99IEB012345
GRAZIE E ARRIVEDERCI
""",
        "TRATTORIA DA GIULIO", "2024-03-05", "21:10", "EUR", 2850,
        [("COPERTO", "1", 400), ("SPAGHETTI CARBONARA", "2", 2200), ("ACQUA NATURALE", "1", 250)], "card", tax=259,
        number="0123-0045",
    ),
    "France": Paper(
        """
         BOULANGERIE DUPONT SARL
       14 rue de la Paix 75002 Paris
     SIRET 123 456 789 00012  TVA FR12123456789
Ticket no 2024-00871
Le 05/03/2024 a 08:12    Vendeur: Paul
2 x Baguette tradition   1,30    2,60 A
Pain au chocolat                 1,50 A
Cafe                             1,80 B
SOUS-TOTAL                       5,90
TOTAL TTC                   EUR  5,90
Dont TVA 5,5%                    0,21
Dont TVA 10%                     0,16
CARTE BANCAIRE                   5,90
Nombre d'articles: 4
Merci de votre visite
""",
        "BOULANGERIE DUPONT", "2024-03-05", "08:12", "EUR", 590,
        [("Baguette tradition", "2", 260), ("Pain au chocolat", "1", 150), ("Cafe", "1", 180)], "card", tax=37,
        number="2024-00871",
    ),
    "Germany": Paper(
        """
         GASTHAUS ZUM LÖWEN
     Hauptstr. 3, 79098 Freiburg
     USt-IdNr. DE123456789
RECHNUNG Nr. 10023      Tisch 12
05.03.2024 20:41   Bedienung: Eva
 2 Weizenbier 0,5    4,20     8,40 A
 1 Schnitzel               15,90 A
 1 Apfelsaft               3,10 A
SUMME                EUR  27,40
Gegeben BAR          EUR  50,00
Zurück               EUR  22,60
MwSt  A 19%  Netto 23,03  4,37
Vielen Dank für Ihren Besuch
TSE-Signatur: abc123  Transaktion: 4711
""",
        "GASTHAUS ZUM LÖWEN", "2024-03-05", "20:41", "EUR", 2740,
        [("Weizenbier", "2", 840), ("Schnitzel", "1", 1590), ("Apfelsaft", "1", 310)], "cash", tax=437, number="10023",
    ),
}  # fmt: skip


@pytest.mark.parametrize("country", PAPERS)
def test_a_countrys_receipt_is_read(country: str) -> None:
    paper = PAPERS[country]
    found = read(paper.text)
    assert found.kind is Kind.SALE
    assert paper.merchant in (found.merchant or "")
    assert (found.date, found.time, found.currency, found.total) == (
        paper.date, paper.time, paper.currency, paper.total,
    )  # fmt: skip
    assert found.findings["payment_method"].value == paper.method
    assert [item.amount for item in found.items] == [amount for _, _, amount in paper.items]
    for item, (name, quantity, _) in zip(found.items, paper.items, strict=True):
        assert name in item.name
        assert (item.quantity or Decimal(1)) == Decimal(quantity), name
    if paper.tax is not None:
        assert found.tax == paper.tax
    if paper.number is not None:
        assert found.number == paper.number


def _again(country: str, word: str) -> str:
    lines = PAPERS[country].text.strip("\n").split("\n")
    return "\n".join([lines[0], f"        *** {word} ***", *lines[1:]])


@pytest.mark.parametrize(
    ("country", "word"),
    [
        ("Brazil", "REIMPRESSAO"), ("Brazil", "SEGUNDA VIA"), ("Portugal", "2ª VIA"), ("Portugal", "DUPLICADO"),
        ("Spain", "COPIA"), ("Spain", "DUPLICADO"), ("Spain", "REIMPRESIÓN"), ("Mexico", "REIMPRESION"),
        ("Turkey", "KOPYA"), ("Turkey", "TEKRAR BASKI"), ("Greece", "ΑΝΤΙΓΡΑΦΟ"), ("Russia", "КОПИЯ ЧЕКА"),
        ("Russia", "ДУБЛИКАТ"), ("Russia", "ПОВТОР"), ("Korea", "재발행"), ("Korea", "재출력"), ("Japan", "再発行"),
        ("Japan", "再印字"), ("Hong Kong", "重印"), ("Hong Kong", "副本"), ("Taiwan", "補印"), ("China", "补打"),
        ("China", "重打"), ("Malaysia", "SALINAN"), ("Malaysia", "CETAK SEMULA"), ("Malaysia", "REPRINT"),
        ("Indonesia", "CETAK ULANG"), ("Indonesia", "COPY"), ("Netherlands", "KOPIE"), ("Netherlands", "DUPLICAAT"),
        ("Italy", "COPIA"), ("Italy", "DUPLICATO"), ("Italy", "RISTAMPA"), ("France", "DUPLICATA"),
        ("France", "COPIE"), ("France", "DUPLICATA N. 1"), ("Germany", "KOPIE"), ("Germany", "DUPLIKAT"),
        ("Germany", "ZWEITSCHRIFT"),
    ],
)  # fmt: skip
def test_a_reprint_is_a_copy(country: str, word: str) -> None:
    found = read(_again(country, word))
    assert found.kind is Kind.COPY
    assert found.total == PAPERS[country].total


@pytest.mark.parametrize(
    ("country", "word"),
    [
        ("Portugal", "Cópia Cliente"), ("Spain", "COPIA PARA EL CLIENTE"), ("Germany", "Kundenbeleg"),
        ("France", "TICKET CLIENT"), ("Italy", "COPIA CLIENTE"), ("Turkey", "MÜŞTERİ NÜSHASI"),
        ("Netherlands", "KOPIE KLANT"), ("Korea", "고객용"), ("Malaysia", "SALINAN PELANGGAN"), ("Japan", "お客様控え"),
        ("China", "客户联"), ("Taiwan", "持卡人存根"),
    ],
)  # fmt: skip
def test_the_customers_part_of_a_first_print_is_no_copy(country: str, word: str) -> None:
    assert read(PAPERS[country].text + f"\n    {word}\n").kind is Kind.SALE


@pytest.mark.parametrize(
    "text",
    [
        "COZINHA\nMesa: 4   Pedido: 123\n05/03/2024 20:10\n2 Francesinha\n  sem molho\n1 Bacalhau a Bras",
        "PEDIDO COZINHA\nComanda 55\n1 X-BURGER\n  SEM CEBOLA\n2 COCA LATA",
        "COCINA\nMesa 7  Camarero Luis\n20:10\n2 TORTILLA\n1 ENSALADA MIXTA\n  sin cebolla",
        "COMANDA\nTavolo 5  Coperti 2\n20:10\n2 CARBONARA\n1 TIRAMISU",
        "CUISINE\nTable 5  Couverts 2\n2 ENTRECOTE\n  saignant\n1 TARTE",
        "KÜCHE\nTisch 12  Bon 45\n2 Schnitzel\n1 Pommes\n  ohne Salz",
        "KEUKEN\nTafel 3\n2 Biefstuk\n1 Friet",
        "MUTFAK\nMasa 5  Garson Ali\n2 ADANA KEBAP\n1 AYRAN",
        "ΚΟΥΖΙΝΑ\nΤΡΑΠΕΖΙ 5\n2 ΜΟΥΣΑΚΑΣ\n1 ΧΩΡΙΑΤΙΚΗ",
        "КУХНЯ\nСтол 5  Официант Анна\n2 Борщ\n1 Пельмени",
        "주방주문서\n테이블: 5\n김치찌개  2\n된장찌개  1",
        "厨房伝票\nテーブル 5\n醤油ラーメン  2\n餃子  1",
        "厨房单\n桌号:A08\n猪肉饺子  2\n凉拌黄瓜  1",
        "廚房單\n枱號: 12\n2 叉燒飯\n1 凍檸茶",
        "DAPUR\nMEJA 5\n2 NASI GORENG\n1 ES TEH",
        "PESANAN DAPUR\nNo Meja: 7\n2 Mee Goreng\n  kurang pedas",
        "KITCHEN ORDER\nTable 5  Server Ann\n2 Burger\n  no onion\n1 Fries",
    ],
)
def test_a_kitchens_order_is_one_in_every_language(text: str) -> None:
    assert read(text).kind is Kind.KITCHEN
