//! Schemas and values, in small.
