"""The wire between parent and stage: one stream socket, one protocol.

    parent                                              stage
    the program (encode.py)                         ->
                                                    <-  {index u32, -errno i32}     an operation failed; the stage exits
                                                    <-  {index u32, value i32}      a sync point; the parent knows
                                                                                    its number from the index
    {length u32, 0 u32, payload}                    ->                              its answer

    number             value            the parent meanwhile                              payload
 1  MAP_IDS            0                writes uid_map, gid_map of the process            -
 2  INIT_PID           pid of init      remembers it, waits for the joiner's end          -
 3  RUNTIME_HOOKS      0                runs prestart, createRuntime                      state for container hooks
 4  READY              0                limits, state.json, pid file                      "HOME=…\\0"
 5  HAND_OVER          index in mounts  reads three messages with a descriptor each,      -
                                        sent after its answer: a directory, a tmpfs, the
                                        user namespace
 6  COPY_UP            index in mounts  lets a second stage copy the one into the other   -
 7  LISTENER           a descriptor     remembers the number of the seccomp listener      -
    again              0                takes the listener, sends it to its agent         -

The last is for filters that ask a listener, and comes before READY (process/listener.py).

After READY the parent goes away.  What fails later is written to the exec fifo in the same 8 bytes; {index, 0} there
means that the next operation is the execve(2), so that `start` can tell a program that ended at once from a stage that
died before.  EOF instead of an answer ends the stage; EOF instead of a message is a dead stage.
"""

from __future__ import annotations

from _struct import Struct

MAP_IDS = 1
INIT_PID = 2
RUNTIME_HOOKS = 3
READY = 4
HAND_OVER = 5
COPY_UP = 6
LISTENER = 7

# How long a stage may say nothing before it is looked at.  A container's processes can stop, freeze or starve one that
# is among them; on a machine that works nothing takes a second but hooks, and agents of seccomp.
PATIENCE_SECONDS = 30.0

MESSAGE = Struct("<Ii")
ANSWER = Struct("<II")

# The stage's own word for a program it cannot read (encode.py and stage.c disagree: a bug of ours).
MALFORMED = 0xFFFFFFFF
