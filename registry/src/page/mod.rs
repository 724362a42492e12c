//! The web page at `/`.
