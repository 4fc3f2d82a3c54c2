//! The versioned JSON form of events: one object a line (docs/events.md).
