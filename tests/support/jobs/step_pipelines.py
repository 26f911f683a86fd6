"""Real pipelines of several steps, launched in a process of their own: one launch per argument.

Run as ``python step_pipelines.py '{"pipeline": "filters", "folder": …, "documents": …}'``.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ODD_NAME = "💥 - ÖDD\n\"step\" {a='b'}: 🦄 %s" % ("long " * 40)
WORDS = ("all", "documents", "have", "words", "and", "some", "of", "them", "are", "short")


def launch(
    pipeline: str,
    folder: Path | str,
    *,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> None:
    """Run one of `PIPELINES` until it ends. `options` are those of the function and, as
    `executor`, of the executor."""
    with launched(pipeline, folder, environment=environment, **options) as run:
        _, said = run.communicate(timeout=300)
        assert run.returncode == 0, said[-2000:]


@contextmanager
def launched(
    pipeline: str,
    folder: Path | str,
    *,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator["subprocess.Popen[str]"]:
    """As `launch`, while it runs; it is killed in the end."""
    if str(folder).startswith("s3://"):
        # S3 tells whole seconds: what an earlier launch wrote must not be of this one's.
        time.sleep(1 - time.time() % 1)
    order = {"pipeline": pipeline, "folder": str(folder), **options}
    with subprocess.Popen(
        [sys.executable, __file__, json.dumps(order)],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as run:
        try:
            yield run
        finally:
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)


def write_documents(folder: Path, files: int, documents: int) -> Path:
    """Files of so many documents each, every third of which is short."""
    folder.mkdir(parents=True)
    for number in range(files):
        lines = [
            json.dumps({"id": f"{number}-{n}", "text": " ".join(WORDS[: 3 if n % 3 == 0 else 10])})
            for n in range(documents)
        ]
        (folder / f"{number:05d}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def write_tokenizer(file: Path) -> Path:
    """One that knows each of the words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(WordLevel(words, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(file))
    return file


def _filters(data: str, output: str, tokenizer: str, **_: Any) -> list[Any]:
    """A reader, filters with and without a writer of what they drop, a tokenizer, a writer, and
    a step of somebody's own that counts thousands of things and is called what it likes."""
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.filters import LambdaFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import TokensCounter
    from datatrove.pipeline.writers import JsonlWriter

    class Odd(PipelineStep):
        name = ODD_NAME
        type = "own"

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
            for number, document in enumerate(data):
                self.stat_update(f"word-{number}-{rank}", "documents_processed")
                self.stat_update("loss", value=float("nan"))  # type: ignore[arg-type]
                self.stat_update("prompt_tokens", "completion_tokens", value=7, unit="request")
                yield document

    return [
        JsonlReader(data),
        LambdaFilter(
            lambda document: len(document.text) > 30,
            exclusion_writer=JsonlWriter(f"{output}/dropped"),
        ),
        LambdaFilter(lambda document: not document.id.endswith("7")),
        lambda data, rank, world_size: data,
        Odd(),
        TokensCounter(tokenizer),
        JsonlWriter(f"{output}/kept", output_filename="${rank}_${id}.jsonl.gz"),
    ]


def _other(data: str, output: str, **_: Any) -> list[Any]:
    """What became of the script meanwhile."""
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    return [JsonlReader(data), JsonlWriter(f"{output}/kept")]


def _steady(
    data: str, output: str, tokenizer: str, seconds: float = 0, fails_at: int = -1, **_: Any
) -> list[Any]:
    """Each document takes so long. One task fails, if that is asked for."""
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.tokens import TokensCounter
    from datatrove.pipeline.writers import JsonlWriter

    class Slow(PipelineStep):
        name = "Slow"
        type = "own"

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
            if rank == fails_at:
                raise OSError("as asked for")
            for document in data:
                time.sleep(seconds)
                yield document

    return [JsonlReader(data), Slow(), TokensCounter(tokenizer), JsonlWriter(f"{output}/kept")]


def _signatures(data: str, output: str, **_: Any) -> list[Any]:
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):  # those of every language need a library
        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        sent_tokenize = span_tokenize = word_tokenize  # type: ignore[assignment]

    return [
        JsonlReader(data),
        MinhashDedupSignature(f"{output}/sigs", _minhash(), language=Words()),
    ]


def _buckets(output: str, **_: Any) -> list[Any]:
    from datatrove.pipeline.dedup import MinhashDedupBuckets

    return [MinhashDedupBuckets(f"{output}/sigs", f"{output}/buckets", config=_minhash())]


def _cluster(output: str, **_: Any) -> list[Any]:
    from datatrove.pipeline.dedup import MinhashDedupCluster

    return [MinhashDedupCluster(f"{output}/buckets", f"{output}/remove", config=_minhash())]


def _dedup(data: str, output: str, **_: Any) -> list[Any]:
    from datatrove.pipeline.dedup import MinhashDedupFilter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    return [
        JsonlReader(data),
        MinhashDedupFilter(f"{output}/remove", exclusion_writer=JsonlWriter(f"{output}/removed")),
        JsonlWriter(f"{output}/kept"),
    ]


def _minhash() -> Any:
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    return MinhashConfig(hash_config=HashConfig(hash_fc="sha1"), num_buckets=2, n_grams=2)


PIPELINES: dict[str, Callable[..., list[Any]]] = {
    "filters": _filters,
    "other": _other,
    "steady": _steady,
    "signatures": _signatures,
    "buckets": _buckets,
    "cluster": _cluster,
    "dedup": _dedup,
}


def _run(pipeline: str, folder: str, executor: dict[str, Any], **options: Any) -> None:
    from datatrove.executor import LocalPipelineExecutor

    LocalPipelineExecutor(
        pipeline=PIPELINES[pipeline](**options), logging_dir=folder, workers=1, **executor
    ).run()


if __name__ == "__main__":
    _run(**json.loads(sys.argv[1]))
