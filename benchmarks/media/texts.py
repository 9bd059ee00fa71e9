"""What the synthesisers say and what text conversations type; a language stands on one side of the split only."""

from __future__ import annotations

ENGLISH = (
    "Good morning, you have reached the front desk of the clinic. Our opening hours are from eight until half past "
    "five. If you know the extension of the person you would like to speak to, please dial it now. Otherwise stay on "
    "the line and one of us will be with you soon. The next free appointment is on Wednesday the nineteenth at a "
    "quarter to eleven. Could you spell your surname for me, please? Thank you, that is all I need."
)
SPANISH = (
    "Buenos días, ha llamado a la recepción de la clínica. Si conoce la extensión, márquela ahora. La próxima cita "
    "libre es el jueves a las once menos cuarto. ¿Puede repetir su apellido, por favor? Muchas gracias por esperar, "
    "enseguida le atendemos. La factura se enviará por correo antes del viernes."
)
SWEDISH = (
    "God morgon, du har kommit till mottagningen. Om du vet anknytningen kan du slå den nu. Nästa lediga tid är på "
    "onsdag klockan kvart i elva. Kan du bokstavera ditt efternamn? Tack, då ringer vi tillbaka under eftermiddagen."
)
FINNISH = (
    "hyvää huomenta, olette soittaneet vastaanottoon. seuraava vapaa aika on keskiviikkona kello yksitoista. "
    "voitteko toistaa sukunimenne. kiitos, soitamme teille takaisin iltapäivällä. odottakaa hetki, olkaa hyvä."
)
CZECH = (
    "dobré ráno, dovolali jste se na recepci. další volný termín je ve středu v jedenáct hodin. můžete prosím "
    "zopakovat své příjmení. děkujeme, zavoláme vám odpoledne."
)
CZECH_2 = (
    "vlak z Brna přijede na druhé nástupiště se zpožděním deseti minut. prosíme cestující, aby si zkontrolovali "
    "jízdenky. restaurační vůz je otevřen do osmi večer."
)
ITALIAN = (
    "il treno per Bologna parte dal binario sette con dieci minuti di ritardo. si pregano i viaggiatori di "
    "convalidare il biglietto. il vagone ristorante resta aperto fino alle nove di sera."
)
GERMAN = (
    "Der Zug nach Hannover fährt heute von Gleis vier und hat etwa zehn Minuten Verspätung. Bitte beachten Sie die "
    "geänderte Wagenreihung. Das Bordbistro ist bis zwanzig Uhr geöffnet. Wir wünschen Ihnen eine angenehme Reise."
)
PORTUGUESE = (
    "O comboio para Coimbra parte da linha número três com dez minutos de atraso. Pedimos aos passageiros que validem "
    "o bilhete antes da viagem. A carruagem bar está aberta até às oito da noite. Desejamos uma boa viagem."
)

TRAIN = (
    ENGLISH,
    SPANISH,
    SWEDISH,
    (
        "hi are you there? yes go ahead. i wanted to move my appointment from monday to friday if that is possible. "
        "let me check, one moment please... friday at 14:20 is free, shall i take it? yes please, thanks a lot! bye"
    ),
)
TEST = (
    GERMAN,
    PORTUGUESE,
    (
        "hello, the parcel 88-1207 still has not come. it says 'out for delivery' since tuesday?? sorry about that, "
        "can you tell me your post code. sure, it is the same as on the order. ok it should be there before 6 pm today."
    ),
)
