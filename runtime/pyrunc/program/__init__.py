"""The program: what the stage will do, as a value.

operations   what one operation is
builder      Program: emitting operations, registers, data, jump targets, labels
encode       Program -> the bytes that csrc/stage.c reads
numbers      system call numbers per architecture (generated)
listing      Program -> text or JSON for people (`pyrunc explain`)
signatures   how the arguments of each system call read, for the listing
simulator    runs a Program against a pretended kernel, for tests

Nothing here touches the kernel, and nothing here knows about containers.
"""
