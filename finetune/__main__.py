"""`python -m finetune`: the same command where a launcher wants a module (accelerate, torchrun)."""

from finetune.console import main

main()
