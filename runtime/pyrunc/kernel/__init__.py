"""The door to the kernel, host side: one typed function a system call, OSError on failure.

constants    kernel names, kernel values (generated)
lib          loads the C helper (cffi module or the launcher's built-in): its only importer
files        descriptors and files
host         facts about this machine, as records

Nothing here decides anything.
"""
