"""The shapes in which tuned models are asked. A model tuned on one and asked in another answers worse, and nobody sees why: an adapter's
manifest names its template with the digest of its text, and what does not match is refused.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The model's own chat template, kept with its tokenizer.
CHAT_TEMPLATE = "chat"

# (role, content) of a conversation, the last one the user's.
Turns = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Template:
    """A conversation as text: `opening` once, then every question inside `asked` and every earlier answer inside `answered`."""

    name: str
    opening: str
    asked: str
    answered: str

    def render(self, turns: Turns) -> str:
        """The text behind which the model answers."""
        shapes = {"user": self.asked, "assistant": self.answered}
        return self.opening + "".join(shapes[role].replace("{}", content) for role, content in turns)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that shapes a prompt."""
        return _digest(json.dumps([self.opening, self.asked, self.answered], ensure_ascii=False))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_ALPACA = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
TEMPLATES: Mapping[str, Template] = {
    template.name: template
    for template in (
        # As the original Chinese-LLaMA models were tuned: one blank line, one space behind the last colon.
        Template("alpaca", _ALPACA, "### Instruction:\n{}\n\n### Response: ", "{}\n\n"),
        # For small models: two marks that cost two tokens each.
        Template("qizhen", "", "问：{}\n答：", "{}\n"),
    )
}


def digest_of(name: str, chat_template: str) -> str:
    """SHA-256 of the template of that name, empty where there is none; `chat_template` is the tokenizer's own text, or empty."""
    if name == CHAT_TEMPLATE and chat_template:
        return _digest(chat_template)
    return TEMPLATES[name].digest if name in TEMPLATES else ""


def prompt_ids(tokenizer: Any, template: str, turns: Turns) -> list[int]:
    """The tokens behind which the model answers, in training as when it is asked: the beginning mark where the tokenizer has one, and
    the text; of the chat template, what that gives.
    """
    if template == CHAT_TEMPLATE:
        messages = [{"role": role, "content": content} for role, content in turns]
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*begin, *tokenizer.encode(TEMPLATES[template].render(turns), add_special_tokens=False)]
