//! What a chart renders to, in small.
