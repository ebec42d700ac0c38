"""Where pyrunc fails a duty on purpose or for now: test -> why.  The report shows these rows as failed."""

from __future__ import annotations

NOTIFY = "no agent is spoken to as yet: SCMP_ACT_NOTIFY is refused"
NETWORK = "network devices are not moved as yet"

REASONS: dict[str, str] = {
    "test_lifecycle.py::test_delete_of_a_created_container_fails": "engines need runc's way (docs/compat.md)",
    "test_process.py::test_umask_is_inherited": "022, as runc and crun have it: images expect that (docs/compat.md)",
    "test_seccomp.py::test_the_listener_is_a_stream": NOTIFY,
    "test_seccomp.py::test_one_state_a_connection": NOTIFY,
    "test_seccomp.py::test_a_connection_is_not_used_again": NOTIFY,
    "test_seccomp.py::test_the_connection_is_closed_after_the_state": NOTIFY,
    "test_seccomp.py::test_the_state_is_json_with_descriptors": NOTIFY,
    "test_seccomp.py::test_descriptors_come_with_the_first_message": NOTIFY,
    "test_seccomp.py::test_the_state_is_complete": NOTIFY,
    "test_network_devices.py::test_listed_devices_are_moved": NETWORK,
    "test_network_devices.py::test_a_device_that_is_not_there_is_refused": NETWORK,
    "test_network_devices.py::test_a_name_that_is_taken_inside_is_refused": NETWORK,
    "test_network_devices.py::test_a_name_may_be_a_template": NETWORK,
    "test_network_devices.py::test_addresses_and_attributes_are_kept": NETWORK,
    "test_network_devices.py::test_devices_are_up_afterwards": NETWORK,
    "test_network_devices.py::test_devices_are_left_alone_later": NETWORK,
    "test_network_devices.py::test_devices_do_not_come_back": NETWORK,
}
