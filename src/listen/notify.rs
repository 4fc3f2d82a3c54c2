//! Telling people how a run ended: mail, chat, webhooks, the desktop.
