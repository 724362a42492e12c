//! Certificates, their reloading, and client certificates.
