//! A delivery: a request that a forge sends when something happened, to what it says. Signatures are verified here, before anything is parsed.
