"""A tuned model asked many questions at once, closed book: greedy, in the prompt template it was taught, batched by length.

Needs the extra `finetune`. Prompts of one batch are padded on the left under an attention mask, so that an answer does not depend on
what else is asked beside it.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.local_model import LoadedModel, load_model
from app.prompt import NO_ANSWER
from app.templates import Turns, digest_of, prompt_ids
from indexer.errors import GeneratorError

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, in how many tokens; `whole`: it came to its end by itself. `sureness` is the log-likelihood of its first
    tokens, as many as were asked for, 0 for an empty answer.
    """

    text: str
    tokens: int
    whole: bool
    sureness: float = field(default=0.0, compare=False)


class AskModel:
    """A loaded model and the shape it is asked in."""

    def __init__(self, loaded: LoadedModel, batch: int = 16) -> None:
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._batch = batch
        refuses = loaded.manifest.refuses if loaded.manifest else {}
        self._sure_tokens, self._refuses_below = int(refuses.get("tokens", 0)), float(refuses.get("below", -math.inf))
        self.template = loaded.template
        self.device, self.dtype = str(self._model.device), str(self._model.dtype).removeprefix("torch.")
        self.template_digest = digest_of(self.template, self._tokenizer.chat_template or "")

    def answer(self, prompts: Sequence[str], most_tokens: int) -> list[str]:
        """What the model says to each bare question."""
        return [reply.text for reply in self.reply([[("user", prompt)] for prompt in prompts], most_tokens)]

    def reply(self, conversations: Sequence[Turns], most_tokens: int, progress: Progress | None = None) -> list[Reply]:
        """What the model says behind the last turn of each conversation, at most `most_tokens` tokens of it.

        Where its manifest says how sure it must be of how an answer begins, an answer it is less sure of is a refusal.
        """
        replies = self.speak(conversations, most_tokens, self._sure_tokens, progress)
        return [reply if reply.sureness >= self._refuses_below else replace(reply, text=NO_ANSWER) for reply in replies]

    def speak(
        self, conversations: Sequence[Turns], most_tokens: int, sure_tokens: int = 0, progress: Progress | None = None
    ) -> list[Reply]:
        """The same, as the model says it, with the likelihood of its first `sure_tokens` tokens."""
        prompts = [self.prompt_ids(turns) for turns in conversations]
        replies: dict[int, Reply] = {}
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        for start in range(0, len(order), self._batch):
            chosen = order[start : start + self._batch]
            replies.update(zip(chosen, self._generate([prompts[number] for number in chosen], most_tokens, sure_tokens), strict=True))
            if progress:
                progress("模型作答", len(replies), len(order))
        return [replies[number] for number in range(len(prompts))]

    def is_steady(self, conversations: Sequence[Turns], most_tokens: int = 32) -> bool:
        """Whether these are answered the same together and one by one: rounding may tip a tie."""
        return self.reply(conversations, most_tokens) == [self.reply([turns], most_tokens)[0] for turns in conversations]

    def likelihoods(self, turns: Turns, continuations: Sequence[str]) -> list[float]:
        """The log-likelihood of each continuation, its end included, as the whole answer."""
        import torch

        prompt = self.prompt_ids(turns)
        ends = [[*self._encode(text), self._ends[0]] for text in continuations]
        scores: list[float] = []
        for start in range(0, len(ends), self._batch):
            chosen = ends[start : start + self._batch]
            ids, mask = self._padded([prompt + end for end in chosen])
            with torch.inference_mode():
                logits = self._model(input_ids=ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0)).logits
            for row, end in enumerate(chosen):
                logs = torch.log_softmax(logits[row, -len(end) - 1 : -1].float(), dim=-1)
                scores.append(float(logs[torch.arange(len(end)), torch.tensor(end, device=logs.device)].sum()))
        return scores

    def prompt_ids(self, turns: Turns) -> list[int]:
        """The tokens of a prompt, as in training."""
        return prompt_ids(self._tokenizer, self.template, turns)

    @property
    def _ends(self) -> list[int]:
        """Tokens that end an answer; the tokenizer's own first."""
        configured = self._model.generation_config.eos_token_id
        listed = configured if isinstance(configured, list) else [configured]
        return list(dict.fromkeys(token for token in (self._tokenizer.eos_token_id, *listed) if token is not None))

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _padded(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """Ids and mask, (rows, longest), filled up on the left. Which token fills does not matter under the mask."""
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows], device=self._model.device)
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=self._model.device)
        return ids, mask

    def _generate(self, prompts: Sequence[Sequence[int]], most_tokens: int, sure_tokens: int) -> list[Reply]:
        import torch
        from transformers import GenerationConfig

        ids, mask = self._padded(prompts)
        ends = self._ends
        most = max(1, min(most_tokens, self._model.config.max_position_embeddings - ids.shape[1]))
        # Nothing of the model's own generation_config.json: greedy means that no penalty and no sampling alters a figure.
        greedy: Any = GenerationConfig(do_sample=False, max_new_tokens=most, pad_token_id=ends[0], eos_token_id=ends)  # type: ignore[no-untyped-call]
        with torch.inference_mode():
            said = self._model.generate(input_ids=ids, attention_mask=mask, generation_config=greedy)
        kept = [_until(row, ends) for row in said[:, ids.shape[1] :].tolist()]
        sureness = self._sureness(prompts, [tokens[:sure_tokens] for tokens in kept]) if sure_tokens else [0.0] * len(kept)
        return [
            Reply(self._tokenizer.decode(tokens, skip_special_tokens=True).strip(), len(tokens), len(tokens) < most, sure)
            for tokens, sure in zip(kept, sureness, strict=True)
        ]

    def _sureness(self, prompts: Sequence[Sequence[int]], heads: Sequence[Sequence[int]]) -> list[float]:
        """The log-likelihood of each head behind its prompt. Only the logits that it needs are kept."""
        import torch

        ids, mask = self._padded([[*prompt, *head] for prompt, head in zip(prompts, heads, strict=True)])
        kept = max(map(len, heads)) + 1
        with torch.inference_mode():
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            logits = self._model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=kept).logits
        logs = torch.log_softmax(logits.float(), dim=-1)
        return [
            sum(float(row[token]) for row, token in zip(rows[-len(head) - 1 :], head, strict=False))
            for rows, head in zip(logs, heads, strict=True)
        ]


def _until(tokens: list[int], ends: Sequence[int]) -> list[int]:
    return list(itertools.takewhile(lambda token: token not in ends, tokens))


def open_model(base: Path, adapter: Path | None = None, batch: int = 16) -> AskModel:
    """Load a model and its adapter, in float32 on a processor. Raises GeneratorError where that cannot be done."""
    try:
        import torch
    except ImportError as error:
        raise GeneratorError(
            "闭卷作答缺少组件 `torch`", '安装附加组件 finetune：pip install -c constraints.txt -e ".[finetune]"'
        ) from error
    return AskModel(load_model(str(base), str(adapter or ""), in_float32=not torch.cuda.is_available()), batch)
