"""Names and aliases in roughly typed questions: is the first passage of that drug or disease, and is any of the first ten of another?

usage: python tests/benchmarks/names.py [--kb PATH ...] [--questions 3000]

Every name and alias of every document is asked about in a form that training never saw, with words before and behind, without full stops,
with slips of the pen, in Traditional characters, in full width, in capitals and with blanks. A name borne by several documents is
answered from any of them.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

import opencc

from finetune.asking import load_asking
from indexer.build import build_release
from indexer.measure import mean, wilson
from indexer.readers import read_documents
from indexer.release import open_release
from indexer.search import search
from indexer.terms import fold

ROOT = Path(__file__).parent.parent.parent
FULL_WIDTH = str.maketrans({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
FIELDS = {"drug": ("适应症", "用法用量", "禁忌", "不良反应", "贮藏"), "disease": ("临床表现", "治疗药物", "检查检验", "预防")}


def typed(text: str, dice: random.Random, traditional: opencc.OpenCC) -> str:
    """As somebody types it: one time in two as it stands."""
    ways = (str.upper, lambda t: t.translate(FULL_WIDTH), traditional.convert, lambda t: f" {t} ")
    if dice.random() < 0.5:
        return text
    return dice.choice(ways)(text)


def main() -> None:
    """Print one row a knowledge base."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kb", type=Path, nargs="*", default=[ROOT / "kb_data"])
    parser.add_argument("--questions", type=int, default=3000)
    options = parser.parse_args()
    asking, traditional = load_asking(), opencc.OpenCC("s2t")
    sys.stdout.write(f"{'knowledge base':30} {'names':>6} {'asked':>6}   first hit (95 %)        another among ten\n")
    for kb in options.kb:
        dice = random.Random(5)
        bearers: dict[str, set[str]] = {}
        asked = []
        for document in read_documents([kb]):
            for name in (document.title, *document.aliases):
                bearers.setdefault(fold(name), set()).add(document.id)
                asked.append((name, document.kind))
        with tempfile.TemporaryDirectory() as index:
            build_release(Path(index), [kb])
            release = open_release(Path(index))
            chosen = dice.sample(asked, min(options.questions, len(asked)))
            first, mixed = [], []
            for name, kind in chosen:
                form = asking.form(kind, dice.choice(FIELDS.get(kind, ("正文",))))
                question = asking.roughen(asking.fill(dice.choice(form.held_out), name, form.field, dice), name, dice)
                hits = [hit.document.id for hit in search(release, typed(question, dice, traditional))]
                right = bearers[fold(name)]
                first.append(bool(hits) and hits[0] in right)
                mixed.append(any(hit not in right for hit in hits))
                if not first[-1]:
                    sys.stderr.write(f"{question} -> {hits[:1]}\n")
        low, high = wilson(sum(first), len(first))
        shares = f"{mean(first):.4f} ({low:.4f}-{high:.4f})   {mean(mixed):.4f}"
        sys.stdout.write(f"{kb.parent.name + '/' + kb.name:30} {len(asked):6} {len(chosen):6}   {shares}\n")


if __name__ == "__main__":
    main()
