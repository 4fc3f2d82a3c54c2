//! The one integration binary: a file a topic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod source;
