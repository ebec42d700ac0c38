"""The OCI runtime-spec's documents (config.json, state, features) as typed Python; imports nothing but itself."""

SPEC_VERSION = "1.3.0"
