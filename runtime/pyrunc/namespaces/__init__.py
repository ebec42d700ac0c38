"""Namespaces: which, whose, and what is set inside them.

plan       Config -> NamespacePlan: new ones, joined ones, how many processes that takes (pure)
join       opening the joined ones (host side); becoming init in all of them (emitter)
users      id maps: written, or compared, by the parent
hostname   sethostname, setdomainname
network    lo up
devices    network devices of the host's: moved in, with their addresses, by the parent
sysctl     which belong to which namespace; writing them
"""
