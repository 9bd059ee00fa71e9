"""Every content the project encodes, in one list: what it is, and on which side of the split it stands.

Train and test share no speaker, voice, piece of music, film, text, seed, level or frequency. A table may be trained on
``train`` contents only; a figure may be published on ``test`` contents only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmarks.media import texts
from benchmarks.media.signals import (
    coloured,
    dialling,
    gain,
    gaussian,
    mix,
    modem,
    muted,
    phase_modem,
    silence,
    sweep,
    tones,
    uniform,
)
from benchmarks.media.speech import espeak, festival, flite, music, prompts, through_gsm
from benchmarks.media.video import generated, wheel_film

if TYPE_CHECKING:
    from benchmarks.media.signals import Source

Split = Literal["train", "test"]
Kind = Literal["speech", "music", "noise", "loud", "tone", "silence", "digits", "text", "film"]


@dataclass(frozen=True)
class Content:
    """One content. ``kind`` chooses the tables it trains; ``source`` makes its sound (None: it has none)."""

    name: str
    split: Split
    kind: Kind
    source: Source | None = None
    seed: int = 0
    text: str = ""
    film: tuple[str, ...] = ()

    @property
    def audible(self) -> bool:
        """Whether the content has sound, so that audio codecs encode it."""
        return self.source is not None


_ALLISON = prompts("en_US_f_Allison")
_ALLISON_ES = prompts("es_MX_f_Allison", first=3)
_MENARDI = prompts("it_IT_f_Menardi")
_ARMELLE = prompts("fr", "gsm")
_JUNE = prompts("fr_CA_f_June")
_CARLO = prompts("it_IT_m_Carlo")
_RUSSIAN = prompts("ru_RU_f_IvrvoiceRU")

TRAIN_AUDIO = (
    Content("allison-en", "train", "speech", _ALLISON),
    Content("allison-en-2", "train", "speech", prompts("en_US_f_Allison", first=4)),
    Content("allison-es", "train", "speech", _ALLISON_ES),
    Content("menardi-it", "train", "speech", _MENARDI),
    Content("armelle-fr", "train", "speech", _ARMELLE),
    Content("prompts-es-co", "train", "speech", prompts("es", "gsm")),
    Content("allison-quiet", "train", "speech", gain(prompts("en_US_f_Allison", first=5), -20)),
    Content("allison-faint", "train", "speech", gain(prompts("es_MX_f_Allison", first=5), -32)),
    Content("menardi-clipped", "train", "speech", gain(prompts("it_IT_f_Menardi", first=2), 12)),
    Content("menardi-mobile", "train", "speech", through_gsm(prompts("it_IT_f_Menardi", first=3))),
    Content("menardi-muted", "train", "speech", muted(prompts("it_IT_f_Menardi", first=4), 1.5, 1.0)),
    Content("allison-brown-noise", "train", "speech", mix(gain(_ALLISON, -4), coloured(11, -22, 2.0))),
    Content("allison-white-noise", "train", "speech", mix(gain(_ALLISON_ES, -6), gaussian(12, -38))),
    Content("armelle-on-music", "train", "speech", mix(_ARMELLE, gain(music("macroform-the_simplicity", 60), -12))),
    Content("flite-awb", "train", "speech", flite("awb", texts.ENGLISH)),
    Content("flite-rms", "train", "speech", flite("rms", texts.ENGLISH)),
    Content("flite-kal", "train", "speech", flite("kal16", texts.ENGLISH)),
    Content("festival-slt", "train", "speech", festival("cmu_us_slt_arctic_hts", texts.ENGLISH)),
    Content("festival-fi", "train", "speech", festival("suo_fi_lj_diphone", texts.FINNISH)),
    Content("festival-cs-ph", "train", "speech", festival("czech_ph", texts.CZECH)),
    Content("espeak-en", "train", "speech", espeak("en-gb", texts.ENGLISH)),
    Content("espeak-es", "train", "speech", espeak("es", texts.SPANISH, 180, 30)),
    Content("espeak-sv", "train", "speech", espeak("sv+f2", texts.SWEDISH, 150, 70)),
    Content("cold-day", "train", "music", music("macroform-cold_day", 20)),
    Content("cold-day-2", "train", "music", music("macroform-cold_day", 100)),
    Content("robot-dity", "train", "music", music("macroform-robot_dity", 20)),
    Content("robot-dity-quiet", "train", "music", gain(music("macroform-robot_dity", 90), -24)),
    Content("simplicity", "train", "music", music("macroform-the_simplicity", 20)),
    Content("white-middle", "train", "noise", uniform(21, -9)),
    Content("white-quiet", "train", "noise", uniform(22, -30)),
    Content("white-faint", "train", "noise", uniform(23, -52)),
    Content("normal-quiet", "train", "noise", gaussian(24, -42)),
    Content("normal-faint", "train", "noise", gaussian(25, -66)),
    Content("pink-middle", "train", "noise", coloured(26, -20, 1.0)),
    Content("pink-quiet", "train", "noise", coloured(27, -44, 1.0)),
    Content("brown-middle", "train", "noise", coloured(28, -24, 2.0)),
    Content("white-loud", "train", "loud", uniform(31, -0.7)),
    Content("white-louder", "train", "loud", uniform(32, -3)),
    Content("normal-loud", "train", "loud", gaussian(33, -10)),
    Content("normal-clipped", "train", "loud", gaussian(34, -6)),
    Content("pink-loud", "train", "loud", coloured(35, -9, 1.0)),
    Content("ringback", "train", "tone", tones(-16, (1.0, 425), (2.0,))),
    Content("dial-tone", "train", "tone", tones(-18, (20, 350, 440))),
    Content("tone-800", "train", "tone", tones(-10, (20, 800))),
    Content("tone-loud", "train", "tone", tones(-1, (20, 2600))),
    Content("hum", "train", "tone", tones(-30, (20, 50, 150, 250))),
    Content("glide-square", "train", "tone", sweep(-6, 300, 3000, square=True)),
    Content("glide", "train", "tone", sweep(-14, 200, 3300)),
    Content("keys", "train", "tone", dialling(41, -14, 0.1, 0.1)),
    Content("fax-cng", "train", "tone", tones(-12, (0.5, 1100), (3.0,))),
    Content("fax-v21", "train", "tone", modem(42, -12, 980, 1180)),
    Content("fax-page", "train", "tone", phase_modem(43, -10)),
    Content("fax-page-slow", "train", "tone", phase_modem(45, -16, 1800, 1600)),
    Content("fax-page-quiet", "train", "tone", phase_modem(46, -24, 1900, 2000)),
    Content("modem-bell", "train", "tone", modem(47, -9, 1270, 1070)),
    Content("modem-1200", "train", "tone", modem(48, -18, 1300, 2100, 1200)),
    Content("pink-soft", "train", "noise", coloured(49, -30, 0.5)),
    Content("normal-middle", "train", "noise", gaussian(50, -20)),
    Content("normal-soft", "train", "noise", gaussian(51, -30)),
    Content("nothing", "train", "silence", silence()),
    Content("almost-nothing", "train", "silence", uniform(44, -84)),
)

TEST_AUDIO = (
    Content("june-fr", "test", "speech", _JUNE),
    Content("carlo-it", "test", "speech", _CARLO),
    Content("ivrvoice-ru", "test", "speech", _RUSSIAN),
    Content("june-quiet", "test", "speech", gain(prompts("fr_CA_f_June", first=3), -26)),
    Content("carlo-mobile", "test", "speech", through_gsm(prompts("it_IT_m_Carlo", first=3))),
    Content("carlo-street", "test", "speech", mix(gain(_CARLO, -3), coloured(111, -26, 1.5))),
    Content("russian-muted", "test", "speech", muted(_RUSSIAN, 2.0, 3.0)),
    Content("festival-it", "test", "speech", festival("lp_diphone", texts.ITALIAN)),
    Content("festival-cs-dita", "test", "speech", festival("czech_dita", texts.CZECH_2)),
    Content("espeak-de", "test", "speech", espeak("de", texts.GERMAN, 150, 30)),
    Content("espeak-pt", "test", "speech", espeak("pt+f4", texts.PORTUGUESE, 170, 60)),
    Content("morning-coffee", "test", "music", music("manolo_camp-morning_coffee", 20)),
    Content("system", "test", "music", music("reno_project-system", 30)),
    Content("white-soft", "test", "noise", uniform(121, -40)),
    Content("comfort-noise", "test", "noise", gaussian(122, -62)),
    Content("pink", "test", "noise", coloured(123, -14, 1.0)),
    Content("white-full", "test", "loud", uniform(124, -0.2)),
    Content("normal-full", "test", "loud", gaussian(125, -8.7)),
    Content("tone-1004", "test", "tone", tones(-6, (20, 1004))),
    Content("busy", "test", "tone", tones(-13, (0.5, 480, 620), (0.5,))),
    Content("chirp", "test", "tone", sweep(-1, 100, 3800)),
    Content("keys-2", "test", "tone", dialling(126, -11, 0.12, 0.08)),
    Content("fax-ced-v21", "test", "tone", modem(127, -15, 1650, 1850)),
    Content("fax-page-2", "test", "tone", phase_modem(128, -14, 1700)),
    Content("silence", "test", "silence", silence()),
)

TRAIN_OTHER = (
    *(Content(f"presses-{seed}", "train", "digits", seed=seed) for seed in range(201, 207)),
    *(Content(f"chat-{index}", "train", "text", seed=index, text=text) for index, text in enumerate(texts.TRAIN)),
    Content("bikes", "train", "film", film=wheel_film("bikes")),
    Content("test-card", "train", "film", film=generated("testsrc2=r=25:s=352x288")),
    Content("cells", "train", "film", film=generated("cellauto=r=25:s=352x288:rule=110")),
    Content("gradients", "train", "film", film=generated("gradients=r=25:s=352x288:seed=5,noise=alls=12:allf=t")),
)
TEST_OTHER = (
    *(Content(f"presses-{seed}", "test", "digits", seed=seed) for seed in range(301, 304)),
    *(Content(f"chat-{index}", "test", "text", seed=index, text=text) for index, text in enumerate(texts.TEST, 10)),
    Content("bunny", "test", "film", film=wheel_film("bigbuckbunny")),
    Content("carphone", "test", "film", film=wheel_film("carphone_pristine")),
    Content("mandelbrot", "test", "film", film=generated("mandelbrot=r=25:s=352x288")),
    Content("life", "test", "film", film=generated("life=r=25:s=352x288:seed=9:mold=10")),
)

CONTENTS: tuple[Content, ...] = (*TRAIN_AUDIO, *TEST_AUDIO, *TRAIN_OTHER, *TEST_OTHER)
