"""Every error this program raises on purpose.

    QizhenError                 what went wrong, with the value, and what to do next
    ├── KnowledgeBaseError      documents that cannot be read; carries every fault found
    ├── QuestionError           a question or a questions file that cannot be asked
    ├── IndexFolderError        the index folder
    │   ├── IndexMissingError   nothing is published there, or the release is not there
    │   ├── IndexDamagedError   a file of a release is missing, cut off or altered
    │   ├── IndexMismatchError  the release was made by another encoder, passage setting or format
    │   ├── ReleaseRejectedError  a new release did not pass its trial, and is not published
    │   └── IndexWriteError     it cannot be written: full, read-only, or another build holds it
    ├── AccountError            an account or a key that cannot be made or changed so
    ├── ServeError              the server may not or cannot start as asked
    ├── RecordError             a recorded answer that is not there, or cannot be made again
    ├── EncoderError            an encoder that is unknown, or cannot be loaded
    ├── WeightsError            a model's or an adapter's weights that cannot be read, or do not fit together
    └── GeneratorError          a way of answering that is unknown or not set up
        └── ModelError          the language model failed while answering; the answer is quoted instead
            ├── ModelDownError      no answer, or an answer that is none
            ├── ModelSlowError      not done within its time
            └── ModelRamblingError  it repeats itself, or says more than there is to say

Library code raises them; the faces print them once. The first line names the fault with its value in backticks, the last
line begins with `hint:`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class QizhenError(Exception):
    """A fault worded for the person who can mend it."""

    def __init__(self, fault: str, hint: str) -> None:
        super().__init__(f"{fault}\n\nhint: {hint}")
        self.fault = fault
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in one input file. `line` counts from 1; 0 means the whole file. `field` may be empty."""

    path: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class KnowledgeBaseError(QizhenError):
    """Documents that cannot be read. `faults` holds all of them, in the order of files and lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        listed = "\n".join(str(fault) for fault in faults)
        hint = "改正以上各处后重新运行 qizhen index build，或加 --skip-faulty 略过它们"
        super().__init__(f"知识库有 `{len(faults)}` 处错误，没有发布任何内容：\n{listed}", hint)
        self.faults = tuple(faults)


class QuestionError(QizhenError):
    """A question, or a file of questions, that cannot be asked."""


class IndexFolderError(QizhenError):
    """Something about the index folder."""


class IndexMissingError(IndexFolderError):
    """No release is published, or the release asked for is not there."""


class IndexDamagedError(IndexFolderError):
    """A file of a release is missing, cut off or altered."""


class IndexMismatchError(IndexFolderError):
    """A release made by another encoder, passage setting or format than this program uses."""


class ReleaseRejectedError(IndexFolderError):
    """A new release answers fewer golden questions than required."""


class IndexWriteError(IndexFolderError):
    """The index folder cannot be written."""


class AccountError(QizhenError):
    """An account or a key that cannot be made or changed so."""


class ServeError(QizhenError):
    """The server may not, or cannot, start as asked."""


class RecordError(QizhenError):
    """A recorded answer that is not there, or cannot be made again."""


class EncoderError(QizhenError):
    """An encoder that is unknown, or cannot be loaded."""


class WeightsError(QizhenError):
    """Weights of a model or an adapter that cannot be read, or do not fit together."""


class GeneratorError(QizhenError):
    """A way of answering that is unknown, or not set up."""


class ModelError(GeneratorError):
    """The language model failed while answering. `told` is what the reader is told of it."""

    told = "模型没有响应"


class ModelDownError(ModelError):
    """No answer came, or one that is none."""


class ModelSlowError(ModelError):
    """The model was not done within its time."""

    told = "模型未及时完成"


class ModelRamblingError(ModelError):
    """The model repeats itself, or says more than there is to say."""

    told = "模型的话重复或过长"
