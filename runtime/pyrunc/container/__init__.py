"""What outlives a command: a container's record on disk, its state, and what each verb does to it.

lifecycle   the states and what is allowed in each, as a table
record      ContainerRecord <-> state.json
store       the state root: directories, locks, atomic saves
status      is the recorded process still ours, and in which state is the container
state       the OCI state document
bundle      config.json and the rootfs of a bundle
create, start, kill, delete, run
"""
