"""Names of jobs as teams lay out their pipelines, and what a person says of them: each job's stage
and item, and the view that fits. All of it was written down before the program was asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from string import Formatter

Answer = tuple[str, str | None, str | None]
"""Of a job: its name, its stage and its item."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Jobs by `lines`, each a pattern of names, and what its stage and item are called, with the
    same `{placeholders}` for which every combination of `values` is put."""

    view: str
    lines: Sequence[tuple[str, str, str]]
    values: dict[str, Sequence[str]]

    @property
    def answers(self) -> list[Answer]:
        return [answer for line in self.lines for answer in self._answers(*line)]

    def _answers(self, name: str, stage: str, item: str) -> list[Answer]:
        used = sorted({field for _, field, _, _ in Formatter().parse(name) if field})
        found: list[Answer] = []
        for values in product(*(self.values[field] for field in used)):
            put = dict(zip(used, values, strict=True))
            found.append((name.format(**put), stage.format(**put), item.format(**put)))
        return found


def _dumps(count: int) -> list[str]:
    return [f"CC-MAIN-{2013 + at // 6}-{5 + at % 6 * 8:02}" for at in range(count)]


def _layout(view: str, *lines: tuple[str, str, str], **values: str | Sequence[str]) -> Layout:
    listed = {key: value.split() if isinstance(value, str) else value
              for key, value in values.items()}  # fmt: skip
    return Layout(view, lines, listed)


_LANGS = "cmn_Hani fra_Latn deu_Latn rus_Cyrl jpn_Jpan arb_Arab swh_Latn hin_Deva"
_MINHASH = "signatures buckets clusters filter"
_TIMES = [f"2026-0{month}-1{day}_0{day}-30-15_qw{'abcdefgh'[day]}ty"
          for month in (1, 2, 3) for day in range(8)]  # fmt: skip
_WHOLE = ("{stage}/{item}", "{stage}", "{item}")

LAYOUTS = {
    "pdfs-by-tool": _layout(
        "grid",
        _WHOLE,
        ("dedup/{lang}/{step}", "dedup {step}", "{lang}"),
        stage="truncated docling ocr postprocess lang_split",
        item=_dumps(10),
        lang=_LANGS,
        step=_MINHASH,
    ),
    "math-of-one-version": _layout(
        "grid",
        ("finemath/v1/{stage}/{item}", "{stage}", "{item}"),
        ("finemath/v1/merge", "merge", ""),
        stage="resiliparse_extract math_lid classify_math dedup",
        item=_dumps(12),
    ),
    "translations-in-shards": _layout(
        "stages",
        _WHOLE,
        ("translate/{item}/shard_{n}", "translate", "{item}/shard_{n}"),
        stage="prepare postprocess upload",
        item=_LANGS,
        n="0 1 2 3",
    ),
    "textbooks": _layout(
        "grid",
        ("{item}/{stage}", "{stage}", "{item}"),
        item="web_samples_v1 web_samples_v2 stanford stories openstax khanacademy wikihow",
        stage="prompts generation decontamination",
    ),
    "web-joined": _layout(
        "grid",
        ("{stage}_{item}", "{stage}", "{item}"),
        stage="trafilatura mdr_filters url_dedup line_dedup",
        item=_dumps(9),
    ),
    "code-by-language": _layout(
        "grid",
        ("stack-v2/{stage}/{item}", "{stage}", "{item}"),
        stage="license_detect near_dedup pii_redact tokenize",
        item="python java go c cpp jupyter-notebook rust typescript html",
    ),
    "language-dump-step": _layout(
        "grid",
        ("{lang}/{dump}/{stage}", "{stage}", "{lang}/{dump}"),
        lang=_LANGS,
        dump=_dumps(5),
        stage="lid gopher c4 fineweb_quality dedup",
    ),
    "seeds": _layout(
        "grid",
        ("sample_{size}/seed-{n}/{stage}", "{stage}", "{size}/{n}"),
        size="10BT 100BT 350BT",
        n="1 2 3 42",
        stage="shuffle tokenize",
    ),
    "tokenizers": _layout(
        "grid",
        ("{stage}/{tokenizer}/{data}", "{stage}", "{tokenizer}/{data}"),
        stage="tokenize merge",
        tokenizer="gpt2 llama3 gemma",
        data="c4 fineweb_edu dclm wiki",
    ),
    "ablations-named-by-filters": _layout(
        "grid",
        ("ablation-{item}/{stage}", "{stage}", "{item}"),
        item="no-c4-filters gopher-only all-filters line-punct no-dedup baseline",
        stage="filter dedup tokenize",
    ),
    "users-and-projects": _layout(
        "grid",
        ("{user}/{project}/{stage}", "{stage}", "{user}/{project}"),
        user="hynek guilherme loubna",
        project="fineweb-3 stack-edu",
        stage="extract filter dedup tokenize",
    ),
    "dump-then-nested-minhash": _layout(
        "grid",
        ("{dump}/minhash_v2/{step}", "minhash {step}", "{dump}"),
        ("{dump}/{stage}", "{stage}", "{dump}"),
        dump=_dumps(7),
        step="signatures buckets clusters filter",
        stage="extract langid",
    ),
    "dump-joined-to-step": _layout(
        "grid",
        ("{dump}_{stage}", "{stage}", "{dump}"),
        dump=_dumps(8),
        stage="extract lid gopher_filter dedup_sig dedup_filter",
    ),
    "step-dash-data": _layout(
        "grid",
        ("{stage}-{item}", "{stage}", "{item}"),
        stage="filter dedup tokenize",
        item="wikipedia arxiv stack-exchange pg19 open-web-math",
    ),
    "stages-run-again": _layout(
        "grid",
        _WHOLE,
        ("{again}/{some}", "{again}", "{some}"),
        stage="base_processing filter tokenize",
        item=_dumps(14),
        again="base_processing_v2 filter-fixed",
        some=_dumps(4),
    ),
    "items-run-again": _layout(
        "grid",
        ("{stage}/{dump}", "{stage}", "{dump}"),
        ("{stage}/{some}{mark}", "{stage}", "{some}{mark}"),
        stage="extract dedup tokenize",
        dump=_dumps(12),
        some=_dumps(3),
        mark="_v2 -fixed _retry",
    ),
    "joined-run-again": _layout(
        "list",
        ("tokenize_{dump}", "tokenize", "{dump}"),
        ("tokenize_{some}{mark}", "tokenize", "{some}{mark}"),
        dump=_dumps(30),
        some=_dumps(4),
        mark="_v2 -fixed",
    ),
    "three-jobs": _layout(
        "list", ("fineweb-sample/{stage}", "{stage}", "all"), stage="extract dedup tok"
    ),
    "two-thousand": _layout(
        "stages",
        ("base_processing/{dump}", "base", "{dump}"),
        ("minhash/{dump}/{step}", "minhash {step}", "{dump}"),
        ("language_filter/{dump}/{lang}", "language", "{dump}/{lang}"),
        dump=_dumps(96),
        step=_MINHASH,
        lang=[f"{lang}{again}" for again in ("", "_removed") for lang in _LANGS.split()],
    ),
    "numbered-years": _layout(
        "grid",
        _WHOLE,
        stage="00_download 01_parse 02_langid 03_pack",
        item=[str(year) for year in range(2008, 2025)],
    ),
    "weeks": _layout(
        "grid",
        ("news/{week}/{stage}", "{stage}", "{week}"),
        week=[f"2024-W{week:02}" for week in range(5, 17)],
        stage="fetch clean dedup",
    ),
    "months-and-unknown-steps": _layout(
        "grid",
        ("{month}/{stage}", "{stage}", "{month}"),
        month=[f"2024_{month:02}" for month in range(1, 13)],
        stage="scrape boilerplate langid pack",
    ),
    "language-first-second-joined": _layout(
        "grid",
        ("filtering/{lang}", "filtering", "{lang}"),
        ("dedup/{lang}/{step}", "dedup {step}", "{lang}"),
        ("export-{lang}", "export", "{lang}"),
        lang=_LANGS,
        step=_MINHASH,
    ),
    "one-offs-beside": _layout(
        "grid",
        _WHOLE,
        ("upload_to_hub", "upload", ""),
        ("count_tokens", "count", ""),
        stage="extract dedup",
        item=_dumps(16),
    ),
    "models-and-prompts": _layout(
        "grid",
        ("{model}/{prompt}/{stage}", "{stage}", "{model}/{prompt}"),
        model="qwen2.5-7b gemma-3-12b smollm2-1.7b-instruct",
        prompt="faq table tutorial math",
        stage="generate judge",
    ),
    "folders-by-day": _layout(
        "grid",
        ("dt-logs/2024/{month}/{day}/{stage}", "{stage}", "{month}/{day}"),
        month="03 04 11",
        day="01 07 28",
        stage="extract dedup tokenize",
    ),
    "slurm-numbers": _layout(
        "grid",
        ("runs/{number}/{stage}", "{stage}", "{number}"),
        number="14829301 14829377 14830018 14831222 14900001",
        stage="tokenize merge shuffle",
    ),
    "batches": _layout(
        "grid",
        ("batch_{n}/{stage}", "{stage}", "{n}"),
        n=[f"{n:02}" for n in range(1, 11)],
        stage="ocr layout quality pack",
    ),
    "data-and-language": _layout(
        "grid",
        ("{data}/{lang}/{stage}", "{stage}", "{data}/{lang}"),
        data="c4 mc4 culturax oscar",
        lang="en fr de zh",
        stage="filter dedup tokenize",
    ),
    "parts-of-dumps": _layout(
        "grid",
        ("{stage}/{dump}_part{n}", "{stage}", "{dump}/{n}"),
        stage="extract filter",
        dump=_dumps(6),
        n="0 1 2 3",
    ),
    "dated-runs-of-stages": _layout(
        "stages",
        ("logs/extract/{early}", "extract", "{early}"),
        ("logs/dedup/{late}", "dedup", "{late}"),
        early=_TIMES[:12],
        late=_TIMES[12:],
    ),
    "stage-and-time-joined": _layout(
        "stages",
        ("minhash_sig_{early}", "minhash_sig", "{early}"),
        ("minhash_filter_{late}", "minhash_filter", "{late}"),
        early=[time[:19] for time in _TIMES[:9]],
        late=[time[:19] for time in _TIMES[9:]],
    ),
    "experiments-with-numbers": _layout(
        "grid",
        ("exp-{item}/{stage}", "{stage}", "{item}"),
        item="001-baseline 002-lowlr 003-clean-dedup 004-long-context 005-repro",
        stage="filter dedup tokenize",
    ),
    "dotted-versions": _layout(
        "grid",
        ("fineweb-v{version}/{stage}", "{stage}", "{version}"),
        version="1.0 1.1 1.2 1.3",
        stage="dedup edu_classifier tokenize stats",
    ),
    "numbered-minhash": _layout(
        "grid",
        ("dedup/{lang}/mh{n}", "mh{n}", "{lang}"),
        ("dedup/{lang}/stats", "stats", "{lang}"),
        lang=_LANGS,
        n="1 2 3 4",
    ),
    "wikis": _layout(
        "grid",
        ("wiki/{lang}wiki/{stage}", "{stage}", "{lang}"),
        lang="en de fr ja ru zh",
        stage="extract render tokenize",
    ),
    "short-language-joined": _layout(
        "grid",
        ("{stage}_{lang}", "{stage}", "{lang}"),
        stage="clean dedup monofix",
        lang="en de fr ja ru zh",
    ),
    "keys-and-values": _layout(
        "grid",
        ("quality={high}/kind={kind}/{stage}", "{stage}", "{high}/{kind}"),
        high="high medium low",
        kind="actual synthetic",
        stage="rephrase filter tokenize",
    ),
    "shards-of-shards": _layout(
        "grid",
        ("shard_{n}_of_04/local_shard_{m}/{stage}", "{stage}", "{n}/{m}"),
        n="01 02 03 04",
        m="0 1 2",
        stage="baseline dedup fasttext",
    ),
    "one-job": _layout("list", ("fineweb-edu-score-2/tokenize", "tokenize", "fineweb-edu")),
    "users-dated": _layout(
        "list",
        ("{user}/logs/{time}", "logs", "{user}/{time}"),
        user="ann bob cyd dan",
        time=_TIMES[:5],
    ),
    "data-and-tokenizer-joined": _layout(
        "grid",
        ("{stage}-{data}-{tokenizer}", "{stage}", "{data}-{tokenizer}"),
        stage="tokenize merge",
        data="c4 dclm wiki",
        tokenizer="gpt2 llama3 gemma",
    ),
    "dots": _layout(
        "grid",
        ("fineweb.{stage}.{dump}", "{stage}", "{dump}"),
        stage="extract dedup tokenize",
        dump=_dumps(6),
    ),
    "upper-case": _layout(
        "grid",
        ("{lang}/{stage}", "{stage}", "{lang}"),
        lang="EN DE FR PT-BR ZH",
        stage="Extract Dedup Tokenise",
    ),
    "thresholds": _layout(
        "grid",
        _WHOLE,
        stage="filter_0.5 filter_0.7 dedup",
        item=_dumps(8),
    ),
    "global-shards": _layout(
        "grid",
        ("dclm/{stage}/{item}", "{stage}", "{item}"),
        stage="fasttext_filter bff_dedup tokshuf",
        item=[f"global-shard_{n:02}" for n in range(1, 11)],
    ),
    "data-named-like-steps": _layout(
        "grid",
        ("{stage}/{lang}/{data}", "{stage}", "{lang}/{data}"),
        stage="download copy",
        lang="fr de sw",
        data="oscar-cleaned culturax mc4-filtered hplt madlad",
    ),
    "experiments-flat": _layout(
        "list",
        ("runs/{name}", "runs", "{name}"),
        name="tokenize-test first-try exp-1 exp-2 exp-3 bigger gopher-only trash",
    ),
    "one-known-step-of-four": _layout(
        "grid",
        ("fw2/{lang}/{stage}", "{stage}", "{lang}"),
        lang=_LANGS,
        stage="glot stopwords gopher dedup",
    ),
    "no-known-step": _layout(
        "grid",
        ("{dump}/{lang}/{stage}", "{stage}", "{dump}/{lang}"),
        dump=_dumps(4),
        lang="fra_Latn deu_Latn swh_Latn",
        stage="trafilatura lid gopher finish",
    ),
    "models-with-seeds": _layout(
        "grid",
        ("{model}_s{n}/{stage}", "{stage}", "{model}_{n}"),
        model="llama3 qwen3 olmo2",
        n="1 2 3",
        stage="rollout score pack",
    ),
    "numbered-stages": _layout(
        "grid",
        _WHOLE,
        stage="stage1_extract stage2_filter stage3_ship",
        item=_dumps(9),
    ),
    "user-dump-step-joined": _layout(
        "grid",
        ("{user}_{dump}_{stage}", "{stage}", "{user}/{dump}"),
        user="ann bob",
        dump=_dumps(6),
        stage="extract filter",
    ),
    "topics": _layout(
        "grid",
        ("textbooks/{item}/{stage}", "{stage}", "{item}"),
        item="algebra chemistry information-retrieval signal-processing poetry history",
        stage="outline write dedup",
    ),
    "language-dash-step": _layout(
        "grid",
        ("{item}-{stage}", "{stage}", "{item}"),
        item="en de fr sw zh-CN",
        stage="clean tok ship",
    ),
    "embeddings": _layout(
        "stages",
        ("embed/{data}/{model}", "embed", "{data}/{model}"),
        ("cluster/{data}/k{k}", "cluster", "{data}/{k}"),
        data="wiki arxiv pubmed",
        model="bge-m3 e5-large",
        k="100 1000 10000",
    ),
    "splits": _layout(
        "grid",
        ("{stage}/{data}_{split}", "{stage}", "{data}/{split}"),
        stage="tokenized merged",
        data="slimpajama proofpile starcoder",
        split="train val test",
    ),
    "months-in-years": _layout(
        "grid",
        ("{year}/{month}/{stage}", "{stage}", "{year}/{month}"),
        year="2023 2024",
        month=[f"{month:02}" for month in range(1, 13)],
        stage="extract dedup",
    ),
    "papers-by-month": _layout(
        "grid",
        ("arxiv/{item}/{stage}", "{stage}", "{item}"),
        item=[f"23{month:02}" for month in range(1, 13)],
        stage="latex ocr clean",
    ),
    "project-version-step-dump": _layout(
        "grid",
        ("fineweb/v1.2.0/{stage}/{item}", "{stage}", "{item}"),
        stage="warc_extract gopher dedup",
        item=_dumps(10),
    ),
    "one-pipeline": _layout(
        "list",
        ("logs/{stage}", "{stage}", "all"),
        stage="extract langid filter minhash_sig minhash_bucket tokenize",
    ),
    "two-pipelines": _layout(
        "grid",
        ("prod/{pipeline}/{stage}/{dump}", "{stage}", "{pipeline}/{dump}"),
        pipeline="base edu",
        stage="extract filter tokenize",
        dump=_dumps(6),
    ),
    "dots-and-numbers": _layout(
        "grid",
        ("{stage}.{lang}.{n}", "{stage}", "{lang}.{n}"),
        stage="filter dedup",
        lang="en de fr",
        n="0 1 2 3",
    ),
    "rates": _layout(
        "grid",
        ("sweep/lr_{rate}/{stage}", "{stage}", "{rate}"),
        rate="1e-3 3e-4 1e-4 3e-5",
        stage="tokenize shuffle evaluate",
    ),
    "news-sites": _layout(
        "grid",
        ("{site}/{day}/{stage}", "{stage}", "{site}/{day}"),
        site="lemonde.fr bbc.co.uk elpais.com",
        day=[f"2026-05-{day:02}" for day in range(1, 6)],
        stage="fetch boilerplate langid",
    ),
    "crawl-of-forums": _layout(
        "grid",
        ("forums/{site}/{stage}", "{stage}", "{site}"),
        site="reddit lemmy hackernews stackexchange lobsters",
        stage="dump_parse thread_build quality_score pack",
    ),
    "audio": _layout(
        "grid",
        ("{stage}/{lang}/{data}", "{stage}", "{lang}/{data}"),
        stage="vad transcribe align",
        lang="fra_Latn deu_Latn ita_Latn",
        data="radio podcasts",
    ),
    "context-lengths": _layout(
        "grid",
        ("longctx/{length}/{stage}", "{stage}", "{length}"),
        length="8k 32k 128k 1m",
        stage="concat tokenize shuffle",
    ),
    "releases-of-languages": _layout(
        "grid",
        ("{release}/{lang}/{stage}", "{stage}", "{release}/{lang}"),
        release="2024-03 2024-09",
        lang="cmn_Hani fra_Latn swh_Latn",
        stage="lid filter dedup",
    ),
    "stage-double-underscore": _layout(
        "grid",
        ("{stage}__{dump}", "{stage}", "{dump}"),
        stage="extract filter rewrite",
        dump=_dumps(6),
    ),
    "minhash-configurations": _layout(
        "grid",
        ("mh_b{b}_r{r}/{step}", "{step}", "{b}/{r}"),
        b="8 14 20",
        r="8 16",
        step=_MINHASH,
    ),
    "rephrasing": _layout(
        "grid",
        ("rephrase/{model}/{dump}/{stage}", "{stage}", "{model}/{dump}"),
        model="qwen3-4b gemma-3-1b",
        dump=_dumps(4),
        stage="prompt generate filter",
    ),
    "personal-scratch": _layout(
        "list",
        ("{name}", "{name}", ""),
        name="tok_debug old test1 test2 foo",
    ),
    "pdf-buckets": _layout(
        "grid",
        ("{stage}/bucket={n}", "{stage}", "{n}"),
        stage="fetch ocr merge",
        n="0 1 2 3 4 5 6 7",
    ),
    "prefix-of-project": _layout(
        "grid",
        ("fw3-{stage}-{dump}", "{stage}", "{dump}"),
        stage="extract lang-filter minhash-sig tokenize",
        dump=_dumps(8),
    ),
}
