//! `argon listen`: a personal CI runner. Composes the library's rooms; calls neither the engine's API nor SQL.
//!
//! | module | owns |
//! |---|---|
//! | [`forge`] | which forges there are |
//! | [`webhook`] | a delivery's headers and bytes to what it says; signatures |
//! | [`notify`] | telling people how a run ended: mail, chat, webhooks, the desktop |

pub mod forge;
pub mod notify;
pub mod webhook;
