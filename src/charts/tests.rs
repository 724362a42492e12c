//! Directories and archives, whole and wrong.
