//! Readiness, socket activation and the unit of the service manager.
