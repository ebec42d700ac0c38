"""The birth of a container: the plan (pure), the stage's spawn, the parent's side of the wire.

sync         the wire protocol, both sides in one table
plan         Config + options + Host -> Plan: the stage's program and what the parent does at each sync point
birth, hooks_inside, credentials, executable, limits   emitters of the program's own sections
spawn        the sealed image of the stage, clone3, sending the program, receiving what it says
parent       PARENT_STEPS: what happens at each sync point
hooks        hooks in the runtime's namespaces
console      the terminal's way to whoever asked for it
relay        foreground run: signals, terminal bytes, exit status
"""
