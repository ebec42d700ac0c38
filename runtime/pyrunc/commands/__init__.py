"""One small file a verb, each with `run(arguments) -> int`; imported only when asked for."""
