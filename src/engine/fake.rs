//! A scripted engine for tests: plays containers from a script, without an engine.
